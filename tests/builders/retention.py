"""Terms, items and stores of retention for tests.

`Shelf` is a store whose things are files in a folder, removed in two effects (a part, then the thing), so that a kill can come between them; `Killed` is
raised by `effects` before the n-th effect of a whole deletion, as a SIGKILL would come.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from presage.files import sha256_bytes
from presage.governance.retention.items import Item, Prepared, StoreName
from presage.governance.retention.policy import RetentionPolicy, load_retention, parse_retention
from presage.governance.retention.terms import ModelTerms, Terms

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "policies" / "retention.yaml").read_text()
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MODELS = {
    "incident": ModelTerms(tier="low", region="eu-central"), "checkout": ModelTerms(tier="medium", region="eu-central"),
    "rota": ModelTerms(tier="high", region="us-east"),
}  # fmt: skip


class Killed(BaseException):
    """As by SIGKILL: nothing that stands in an `except Exception` sees it."""


def policy(*changes: tuple[str, str]) -> RetentionPolicy:
    """The committed one, changed as text."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_retention(text, "retention.yaml")


def terms(*changes: tuple[str, str]) -> Terms:
    return Terms(policy(*changes) if changes else load_retention(ROOT / "policies" / "retention.yaml"), MODELS)


def hold(**on: object) -> tuple[str, str]:
    """A change of the policy's text: one hold, since long ago."""
    named = json.dumps(on, default=str)
    return "holds: []", f'holds: [{{id: HLD-1, because: "A court asked for it.", from: 2020-01-01, covers: {named}}}]'


def item(name: str = "one", days: float = 400, *, model: str = "incident", store: StoreName = "prediction-log", **more: object) -> Item:
    """Born so many days before NOW."""
    known = MODELS.get(model)
    born = NOW - timedelta(days=days)
    given = {"born": born, "since": born - timedelta(days=1), "tier": known.tier if known else None, "region": known.region if known else ""}
    return Item(store=store, id=name, model=model, **{**given, **more})  # type: ignore[arg-type]


@dataclass
class Shelf:
    """items: what it holds at first; a file `<id>` and a part `<id>.part` of each lie in `folder`."""

    folder: Path
    given: Sequence[Item]
    effect: Callable[[str], None] = lambda what: None
    name: StoreName = "prediction-log"
    removed: list[str] = field(default_factory=list)

    def fill(self) -> "Shelf":
        self.folder.mkdir(parents=True)
        for one in self.given:
            for place in (self.folder / one.id, self.folder / f"{one.id}.part"):
                place.write_text(f"what {one.id} says")
        return self

    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def items(self) -> Iterator[Item]:
        for one in self.given:
            if (self.folder / one.id).exists():
                yield one

    def prepare(self, item: Item) -> Prepared | None:
        place = self.folder / item.id
        return Prepared(f"sha256:{sha256_bytes(place.read_bytes())}") if place.exists() else None

    def whole(self, id: str, prepared: Prepared) -> bool:
        return (self.folder / id).exists() and (self.folder / f"{id}.part").exists()

    def remove(self, id: str, prepared: Prepared) -> bool:
        for place in (self.folder / f"{id}.part", self.folder / id):
            if place.exists():
                self.effect("before")
                place.unlink()
                self.removed.append(place.name)
                self.effect("after")
        return True


def killing(at: int) -> Callable[[str], None]:
    """An effect that is the last one when it is the at-th."""
    left = [at]

    def effect(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return effect
