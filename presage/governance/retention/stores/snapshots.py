"""What runs of a pipeline keep of their data: `runs/<run id>/artifacts`. The run's numbers, its policy and its report stay.

A step that came from the cache lies in an earlier run's folder: what a younger run refers to is as young as that run. The cache's entries go before
the folder that they point into, so that no later run takes a step from where nothing lies any more.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from presage.documents import parse_yaml
from presage.errors import InputError
from presage.governance.retention.items import Item, Prepared, StoreName
from presage.governance.retention.stores.places import folder_bytes, folder_digest, remove_file, remove_folder
from presage.governance.retention.terms import Terms

_DATA = "artifacts"
_SECONDS = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class Snapshots:
    """runs, cache: folders of a state. used: digest of a release → why what it was made from is needed."""

    runs: Path
    cache: Path
    terms: Terms
    used: Mapping[str, str]
    name: StoreName = "snapshots"

    def items(self) -> Iterator[Item]:
        """By run. Of each run a few words are kept, and no more."""
        names = sorted(path.name for path in self.runs.iterdir() if path.is_dir() and not path.name.startswith(".")) if self.runs.is_dir() else []
        youngest: dict[str, datetime] = {}  # run → when the youngest run that refers to it was made, where another does
        left: dict[str, int] = {}
        for name in names:
            run = _Run.read(self.runs / name)
            if (self.runs / name / _DATA).is_dir():
                left[run.series] = left.get(run.series, 0) + 1
            for other in run.refers_to - {name}:
                youngest[other] = max(run.made, youngest.get(other, run.made))
        for name in names:
            run = _Run.read(self.runs / name)
            folder = self.runs / name / _DATA
            if not folder.is_dir():
                continue
            digest = run.release.partition("@")[2]
            yield Item(
                self.name, name, max(run.made, youngest.get(name, run.made)), run.made, model=run.model, release=run.release, tier=self.terms.tier(run.model),
                region=self.terms.region(run.model), bytes=folder_bytes(folder), in_use=self.used.get(digest, "") if digest else "", last=left[run.series],
            )  # fmt: skip
            left[run.series] -= 1

    def prepare(self, item: Item) -> Prepared | None:
        folder = self.runs / item.id / _DATA
        return Prepared(folder_digest(folder)) if folder.is_dir() else None

    def whole(self, id: str, prepared: Prepared) -> bool:
        """An entry of the cache that went already is none of it: the step is only run again."""
        return (self.runs / id / _DATA).is_dir()

    def remove(self, id: str, prepared: Prepared) -> bool:
        inside = f"/{self.runs.name}/{id}/"
        for entry in self.cache.glob("*.json") if self.cache.is_dir() else ():
            if inside.encode() in entry.read_bytes():
                remove_file(entry)
        remove_folder(self.runs / id / _DATA)
        return True


@dataclass(frozen=True)
class _Run:
    """made: when it was asked for, or last written of where that is later; series: what it is one of; refers_to: runs whose folders hold steps of it."""

    made: datetime
    series: str
    model: str
    release: str
    refers_to: frozenset[str]

    @classmethod
    def read(cls, folder: Path) -> "_Run":
        """What cannot be read says nothing: then the model is not known."""
        run, result = _document(folder / "run.json"), _document(folder / "result.json") or _document(folder / "scored.json")
        asked = run.get("request")
        pipeline = str(asked.get("pipeline", "")) if isinstance(asked, dict) else ""
        named = result.get("model")
        release = str(named.get("uri", "")) if isinstance(named, dict) else str(result.get("release") or "")
        release = release.removeprefix("presage://")
        model = release.partition(":")[0] or _policy_name(folder / "policy.yaml")
        return cls(_made(folder), f"{pipeline}/{model}", model, release, frozenset(_others(result.get("artifacts"))))


def _made(folder: Path) -> datetime:
    written = (folder / "run.json") if (folder / "run.json").is_file() else folder
    moments = [datetime.fromtimestamp(written.stat().st_mtime, UTC)]
    with suppress(ValueError):
        moments.append(datetime.strptime(folder.name[:15], _SECONDS).replace(tzinfo=UTC))
    return max(moments)


def _others(artifacts: Any) -> Iterator[str]:
    """Names of runs in paths like `../<run>/artifacts/…`."""
    values = artifacts.values() if isinstance(artifacts, dict) else artifacts if isinstance(artifacts, list) else ()
    for value in values:
        if isinstance(value, str) and value.startswith("../"):
            yield value.split("/")[1]
        elif isinstance(value, list):
            yield from _others(value)


def _document(path: Path) -> dict[str, Any]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _policy_name(path: Path) -> str:
    try:
        found = parse_yaml(path.read_bytes(), str(path))
    except (OSError, InputError):
        return ""
    return str(found.get("name", "")) if isinstance(found, dict) else ""

