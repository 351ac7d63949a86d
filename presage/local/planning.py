"""From an overlay to a plan: rendered, the command line laid over it, local releases bound (trained if need be), expanded, checked."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from presage.errors import PlaneError, UsageError
from presage.files import canonical_json, sha256_bytes, sha256_file
from presage.local.authority import Authority
from presage.local.cluster import check
from presage.local.object_store import Accounts
from presage.local.overrides import override, source_of
from presage.local.record import Plan
from presage.local.releases import bind, local_names, local_uri, pipeline_of, trained_release, training_source
from presage.local.tokens import TokenIssuer
from presage.manifests.expand import expand
from presage.manifests.objects import Manifest, parse_objects
from presage.manifests.render import applications, render
from presage.package.keys import local_key
from presage.state import State

Say = Callable[[str], None]


def make_plan(
    state: State, *, overlay: str, source: str | None = None, speed: float | None = None, retrain: bool = False, manifests: Path, say: Say,
    rendered: Mapping[str, bytes] | None = None, bound: Mapping[str, str] | None = None,
) -> Plan:
    """What is to run. source, speed: over the telemetry's arguments. rendered: application → YAML, in place of rendering the overlay now.

    bound: releases that already stand for local names, and go on to; with it nothing is trained, and no container need take source or speed.
    Raises InputError, UsageError and PlaneError; changes nothing that runs.
    """
    if speed is not None and not 0 < speed <= 100_000:
        raise UsageError(f"--speed {speed:g} is no speed. Write how many times real time, 1 to 100000.")
    if source is not None:
        _require_live(source)
    prepare(state)
    if rendered is None:
        names = applications(manifests, overlay)
        with ThreadPoolExecutor(2) as pool:
            rendered = dict(zip(names, pool.map(lambda name: render(manifests / "overlays" / overlay / name), names), strict=True))
    objects = [found for name, text in rendered.items() for found in parse_objects(text, f"overlays/{overlay}/{name}")]
    objects, said = _overridden(objects, source, speed, strict=bound is None)
    stream = source_of(objects)
    bindings = {}
    pending = {pipeline_of(name) for name in local_names(objects)} if retrain else set()
    for name in local_names(objects):
        if bound is not None and local_uri(name) in bound:
            bindings[local_uri(name)] = bound[local_uri(name)]
            continue
        if stream is None:
            raise PlaneError(f"overlay {overlay} wants {local_uri(name)} and streams no telemetry that tells what to train on. Name a release by its digest.")
        trained_on = training_source(stream)
        pipeline = pipeline_of(name)
        bindings[local_uri(name)] = _release(state, name, trained_on, pipeline in pending, say, trains=bound is None)
        pending.discard(pipeline)  # one training makes all of its models
        if trained_on != stream:
            said.append(f"{name}: --source={stream} has no labelled incidents, so its model was trained on {trained_on}")
    expanded = expand(bind(objects, bindings))
    plan = Plan(
        overlay, [dict(found) for found in expanded], bindings, said, source, None if speed is None else float(speed), str(manifests),
        _digest(manifests / "vault"),
    )
    check(state.root, plan)
    return plan


def prepare(state: State) -> None:
    """Make what objects name as parts of the state before anything reads them: keys, the plane's authority, the object store's accounts."""
    local_key(state.keys)
    TokenIssuer.open(state.keys / "issuer.key")
    Authority.open(state.plane / "authority")
    Accounts.open(state.plane / "object-store")


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_bytes(canonical_json({str(path.relative_to(folder)): sha256_file(path) for path in files}))


def _require_live(source: str) -> None:
    from presage.telemetry.sources import live_source

    live_source(source)


def _overridden(objects: list[Manifest], source: str | None, speed: float | None, *, strict: bool) -> tuple[list[Manifest], list[str]]:
    """strict: it is refused where no container takes one of them; else that is only said."""
    try:
        return override(objects, source, speed)
    except UsageError as error:
        if strict:
            raise
        return objects, [error.message]


def _release(state: State, name: str, source: str, retrain: bool, say: Say, *, trains: bool = True) -> str:
    """The release to serve under the local name: the last one trained on such telemetry, else one trained now."""
    found = None if retrain else trained_release(state, name, source)
    if found is None and not trains:
        command = f"presage run {pipeline_of(name)} --source {source}"
        raise PlaneError(f"{local_uri(name)}: there is no release of {name} here that was trained on {source}. `{command}` makes one.")
    if found is None:
        from presage.runs import run

        say(f"training on {source}: there is no release of {name} for it here yet" if not retrain else f"training on {source}")
        run(pipeline_of(name), source=source, state=state)
        found = trained_release(state, name, source)
        if found is None:
            raise PlaneError(f"the run on {source} made no release of {name}. `presage report last` shows what it found.")
    return str(found)
