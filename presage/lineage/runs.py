"""The run that made a package, as the state has it: its events (OpenLineage), its result, its number in MLflow.

None of it is signed: what the package itself says is, and the two are held against each other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from presage.files import read_json
from presage.lineage.page import Missing, Origin, TrainingRun
from presage.state import State

EVENTS = "lineage.ndjson"
"""A run's OpenLineage events, one a line, beside its result."""
CHANGED = "code.changed"
"""The tag of a run by which its events say whether its code differed from the commit."""


def read_run(state: State, origin: Origin, answered: str) -> tuple[TrainingRun | None, list[Missing]]:
    """answered: name of the release whose version in the registry is meant."""
    if origin.run is None:
        return None, [Missing("run", "the run that made the package", "the package names none")]
    folder = state.root / "runs" / Path(origin.run).name
    if not (folder / "run.json").is_file():
        because = f"{state.root} has no run {origin.run}: it was made elsewhere, or is gone; its signed lineage.json is all there is"
        return None, [Missing("run", "the run's events, the commit of its code, its number in MLflow", because)]
    events = list(read_events(folder / EVENTS))
    missing = []
    commit = next((version for event in events if (version := _commit(event))), None)
    if commit is None:
        because = f"{folder / EVENTS} does not say it" if events else f"{folder / EVENTS} is not there: the run is older than these events"
        missing.append(Missing("run", "the commit of the code that ran", f"{because}; the digest of the code is in the package"))
    registry = _registry(folder)
    if not registry:
        missing.append(Missing("run", "its number in MLflow", f"{folder} keeps no result of the step package"))
    run = TrainingRun(
        run=origin.run, status=str(read_json(folder / "run.json").get("status", "")), commit=commit, changed=_changed(events),
        snapshot=_snapshot(events, origin), registry=registry.get("tracking_uri"), registry_run=registry.get("run_id"),
        registry_version=registry.get("versions", {}).get(answered), source=f"run folder {folder}, which nobody signed",
    )  # fmt: skip
    return run, missing


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events that are whole: a run that was killed may leave half a line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict):
            yield found


def _commit(event: dict[str, Any]) -> str | None:
    found = event.get("job", {}).get("facets", {}).get("sourceCodeLocation", {}).get("version")
    return found if isinstance(found, str) else None


def _changed(events: list[dict[str, Any]]) -> bool | None:
    for event in events:
        for tag in event.get("run", {}).get("facets", {}).get("tags", {}).get("tags", []):
            if tag.get("key") == CHANGED:
                return bool(tag.get("value") == "true")
    return None


def _snapshot(events: list[dict[str, Any]], origin: Origin) -> bool | None:
    """Whether the data that the step package was given are those that the package names; None where the events do not say."""
    digests = {
        found.get("facets", {}).get("version", {}).get("datasetVersion")
        for event in events
        if event.get("eventType") == "COMPLETE" and str(event.get("job", {}).get("name", "")).endswith(".package")
        for found in event.get("inputs", []) if str(found.get("name", "")).endswith("/validated")
    }  # fmt: skip
    return origin.digest in digests if digests else None


def _registry(folder: Path) -> dict[str, Any]:
    try:
        packaged = read_json(folder / "result.json")["artifacts"]["packaged"]
        found = read_json(folder / packaged / "result.json")["registry"]
    except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
