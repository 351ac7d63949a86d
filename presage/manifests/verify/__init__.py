"""Verifying overlays from a checkout: schemas, references, traps, Pod security of the Pods hidden in custom resources.

    verification = verify()                      # every overlay, as it is committed
    verification = verify(overlays=["staging"], schemas=Path("schemas"), release=True)
    for finding in verification.errors: ...

Rules lie under `rules/<area>/<rule>.py` (presage.manifests.verify.registry); docs/verify.md lists how to write, read and waive one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from presage.manifests.render import manifests_folder
from presage.manifests.render import overlays as overlays_in
from presage.manifests.verify.findings import Finding, Flaw, Severity, Verification
from presage.manifests.verify.governed import Governed
from presage.manifests.verify.reading import Reader
from presage.manifests.verify.registry import Rule, all_rules
from presage.manifests.verify.schemas import Schemas, is_custom
from presage.manifests.verify.subjects import Container, Object, Overlay, Pod, Stale, Written
from presage.manifests.verify.waivers import Waiver, apply_waivers, read_waivers

__all__ = ["Finding", "Flaw", "Severity", "Verification", "check", "verify"]

_SHAPE = "has not the shape that this rule reads"
_NO_SCHEMAS = "schemas of custom kinds: name their folder with --schemas or PRESAGE_SCHEMAS"


def verify(
    folder: Path | None = None, *, overlays: Iterable[str] = (), paths: Iterable[Path] = (), schemas: Path | None = None, release: bool = False,
    waivers: Path | None = None, now: datetime | None = None,
) -> Verification:  # fmt: skip
    """Verify overlays (default: all) of `folder` (default: this repository's manifests/), or else the YAML files of `paths`.

    schemas: folder of the custom kinds' schemas; without it those are not checked, and `unchecked` says so. release: what a release must
    have settled is an error. waivers: default policies/waivers.yaml beside `folder`. now: for what expires.

    Raises InputError where something cannot be read, UsageError where an overlay or a path is not there.
    """
    began = perf_counter()
    named = list(paths)
    with Reader(release, Schemas(schemas)) as reader:
        if named:
            home, every = Path("manifests"), False
            read = [reader.files(named)]
        else:
            home, wanted = folder or manifests_folder(), list(overlays)
            every = not wanted
            read = reader.overlays(home, wanted or overlays_in(home))
        now = now or datetime.now(UTC)
        listed = read_waivers(waivers or home.parent / "policies" / "waivers.yaml", now.date())
        for waiver in listed:
            waiver.complete = every
        return check(read, listed, began, None if named else Governed.beside(home, read, now))


def check(overlays: list[Overlay], waivers: list[Waiver], began: float | None = None, governed: Governed | None = None) -> Verification:
    """Every rule on every subject of `overlays`, then on the policies beside them, then on the waivers."""
    began = perf_counter() if began is None else began
    rules = all_rules()
    found = {finding for overlay in overlays for finding in _of_overlay(overlay, rules)}
    found |= {finding for overlay in overlays for finding in _of_rendering(overlay, rules)}
    if governed is not None:
        found |= {finding for rule in rules if rule.subject is Governed for finding in rule.findings(governed, any(one.release for one in overlays))}
    misshapen = {finding.object for finding in found if finding.rule.startswith("schema/")}
    found = {finding for finding in found if not (finding.object in misshapen and finding.message.startswith(_SHAPE))}
    release = any(overlay.release for overlay in overlays)
    result = apply_waivers(sorted(found), waivers)
    result += [finding for rule in rules if rule.subject is Waiver for waiver in waivers for finding in rule.findings(waiver, release)]
    unchecked = any(overlay.schemas is None or (overlay.schemas.folder is None and _custom(overlay)) for overlay in overlays)
    objects = sum(len(overlay.written) + sum(one.made for one in overlay.objects) for overlay in overlays)
    return Verification(sorted(result), objects, round(perf_counter() - began, 3), [_NO_SCHEMAS] if unchecked else [])


def _of_overlay(overlay: Overlay, rules: list[Rule]) -> Iterable[Finding]:
    subjects: dict[type, list[Any]] = {
        Overlay: [overlay], Written: overlay.written, Object: overlay.objects, Pod: overlay.pods,
        Container: [container for pod in overlay.pods for container in pod.containers],
    }  # fmt: skip
    for rule in rules:
        for subject in subjects.get(rule.subject, ()):
            if not rule.kinds or subject.kind in rule.kinds:
                yield from _findings(rule, subject, overlay.release)


def _of_rendering(overlay: Overlay, rules: list[Rule]) -> Iterable[Finding]:
    stale = overlay.find_stale()
    return (finding for rule in rules if rule.subject is Stale for subject in stale for finding in rule.findings(subject, overlay.release))


def _findings(rule: Rule, subject: Any, release: bool) -> Iterable[Finding]:
    try:
        return list(rule.findings(subject, release))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # an object of another shape than its schema allows; the schema's own finding says where
        return [Finding(rule.severity, rule.id, subject.label, "", f"{_SHAPE} ({type(error).__name__}: {error})", rule.remedy)]


def _custom(overlay: Overlay) -> bool:
    return any(is_custom(found.manifest) for found in overlay.written)
