"""What Git had a release for: in which application, as stable release, canary or shadow; and the commits that brought it and took it away.

Rendered manifests are what runs, so they are read, at each commit that names the release's digest.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from presage.errors import ArtifactRefused, PresageError
from presage.lineage.history import History
from presage.lineage.page import Answer, Change, Commit, Missing, Record, Stood
from presage.manifests.objects import parse_objects
from presage.package.keys import Trust
from presage.release.records import RECORDS, parse_record
from presage.release.standing import RELEASE, Place, Standing, read_standing

RENDERED = "manifests/rendered"
Role = tuple[Literal["stable", "canary", "shadow"], int | None]


@dataclass(frozen=True)
class Held:
    """One application's history with a release. roles: what it had it for from each commit on, the oldest first; only where that changed."""

    place: Place
    roles: list[tuple[Commit, tuple[Role, ...]]] = field(default_factory=list)

    def at(self, live: set[str]) -> tuple[Commit, tuple[Role, ...]] | None:
        """The last of those that were live."""
        return next(((commit, roles) for commit, roles in reversed(self.roles) if commit.id in live), None)


def read_standing_of(
    history: History, answer: Answer, now: Commit | None, trust: Trust | None
) -> tuple[list[Stood], list[Change], list[Missing]]:  # fmt: skip
    """now: the branch's last commit at the answer's time. trust: whose records count."""
    missing: list[Missing] = []
    held = [one for path in history.mentioning(answer.release, RENDERED) for one in _held(history, path, answer.release, missing)]
    stood: list[Stood] = []
    if now is not None:
        live = {commit.id for one in held for commit, _ in one.roles if history.contains(now.id, commit.id)}
        for one in held:
            if (found := one.at(live)) is not None:
                stood.extend(_stood(one.place, role, answer, None if history.cut(found[0].id) else found[0]) for role in found[1])
    changes = sorted((change for one in held for change in _changes(history, one, trust, missing)), key=lambda change: change.commit.at)
    fitting = {f"{one.overlay}/{one.application}" for one in stood if one.fits}
    if not held:
        because = f"no commit of {history.branch} in {history.root} names {answer.release} in {RENDERED}"
        local = "overlay local names no digest: it takes its state's newest release"
        missing.append(Missing("standing", "whether it was stable, a canary or a shadow", f"{because}; {local}"))
        missing.append(Missing("commits", "the commits that brought it and took it away", because))
    elif not fitting and now is not None:
        role = "as a shadow" if answer.shadow_of else "to answer callers"
        because = f"no application has it {role} at {now.id[:12]}, the branch's last commit then: what answered was not (or not yet, or no more) as Git says"
        missing.append(Missing("standing", "whether it was stable, a canary or a shadow", because))
    elif len(fitting) > 1:
        because = f"the log names the release, not the application, and it stood in {', '.join(sorted(fitting))}"
        missing.append(Missing("standing", "which of these applications answered", because))
    return stood, changes, missing


def _stood(place: Place, role: Role, answer: Answer, since: Commit | None) -> Stood:
    name, percent = role
    return Stood(place.overlay, place.application, place.model, name, percent, (name == "shadow") == bool(answer.shadow_of), since)


def _held(history: History, path: str, digest: str, missing: list[Missing]) -> Iterator[Held]:
    """path: `manifests/rendered/<overlay>/<application>/manifest.yaml`; other paths hold no model."""
    parts = PurePosixPath(path).parts
    if len(parts) != 5 or parts[-1] != "manifest.yaml":
        return
    overlay, application = parts[2], parts[3]
    found: dict[str, Held] = {}
    for commit in history.touching(path):
        try:
            roles = _roles(history, commit, overlay, application, digest)
        except PresageError as error:
            missing.append(Missing("commits", f"what {overlay}/{application} had it for at {commit.id[:12]}", error.message))
            continue
        for model in sorted(roles.keys() | found.keys()):
            one = found.setdefault(model, Held(Place(overlay, application, model)))
            now = roles.get(model, ())
            if now != (one.roles[-1][1] if one.roles else ()):
                one.roles.append((commit, now))
    yield from found.values()


def _roles(history: History, commit: Commit, overlay: str, application: str, digest: str) -> dict[str, tuple[Role, ...]]:
    """By InferenceService, at one commit; those that have nothing to do with the release are left out."""
    rendered = f"{RENDERED}/{overlay}/{application}/manifest.yaml"
    content = history.read(commit.id, rendered)
    if content is None or digest.encode() not in content:
        return {}
    patch = f"manifests/overlays/{overlay}/{application}/{RELEASE}"
    files = {rendered: content, patch: history.read(commit.id, patch)}
    models = [one["metadata"]["name"] for one in parse_objects(content, rendered) if one["kind"] == "InferenceService"]
    shadows = {f"{model}-shadow" for model in models}
    found: dict[str, tuple[Role, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="presage-lineage-") as folder:
        for name, text in files.items():
            if text is not None:
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(text)
        for model in models:
            if model not in shadows:
                roles = tuple(_of(read_standing(Path(folder), Place(overlay, application, model)), digest))
                if roles:
                    found[model] = roles
    return found


def _of(standing: Standing, digest: str) -> Iterator[Role]:
    if standing.stable.endswith(digest):
        yield "stable", None
    if standing.canary is not None and standing.canary.uri.endswith(digest):
        yield "canary", standing.canary.percent
    if standing.shadow is not None and standing.shadow.endswith(digest):
        yield "shadow", None


def words(roles: tuple[Role, ...]) -> str:
    """`canary with 5 percent, shadow`."""
    return ", ".join(role if percent is None else f"{role} with {percent} percent" for role, percent in roles)


def _changes(history: History, held: Held, trust: Trust | None, missing: list[Missing]) -> Iterator[Change]:
    before: tuple[Role, ...] = ()
    for commit, after in held.roles:
        if not before and history.cut(commit.id):
            because = f"it was there already ({words(after)}) at {commit.id[:12]}, where this shallow copy begins"
            missing.append(Missing("commits", f"the commit that brought it to {held.place.overlay}/{held.place.application}", because))
            before = after
            continue
        kind: Literal["brought", "changed", "took away"] = "brought" if not before else "changed" if after else "took away"
        place = held.place
        yield Change(kind, place.overlay, place.application, place.model, words(before), words(after), commit, list(_records(history, commit, place, trust)))
        before = after


def _records(history: History, commit: Commit, place: Place, trust: Trust | None) -> Iterator[Record]:
    """The step records of this place that came with the commit."""
    if not history.has_parent(commit.id):
        return
    for path in history.added(commit.id, f"{RECORDS}/{place.overlay}/{place.application}"):
        content = history.read(commit.id, path)
        if content is None or not path.endswith(".dsse.json"):
            continue
        try:
            record = parse_record(content, path)
        except ArtifactRefused as error:
            yield Record(path, "", "", "", "", "", None, error.message)
            continue
        if record.step.place != place:
            continue
        signer, refused = _signer(content, path, record.key, trust)
        yield Record(path, record.step.step, record.step.because, record.step.at, record.step.tier, record.key, signer, refused)


def _signer(content: bytes, path: str, key: str, trust: Trust | None) -> tuple[str | None, str | None]:
    owner = trust.find(key) if trust else None
    if owner is None or trust is None:
        return None, None
    try:
        parse_record(content, path, trust)
    except ArtifactRefused as error:
        return owner.owner, error.message
    return owner.owner, None
