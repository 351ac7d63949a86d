"""One thing that can be deleted, and what a store must be able to do with its things.

    for item in store.items():                       lazily, whatever a store holds
        found = store.prepare(item)                  what proves it, before it goes; None where it is gone
        store.remove(item.id, found)                 for good; called again it finishes what a kill left
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from presage.governance.tiers import RiskTier

StoreName = Literal["prediction-log", "packages", "leftovers", "snapshots", "mlflow-runs"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of a store.

    id: its name there; since, born: when the oldest and the youngest of it was written (UTC); model, release, region: empty where not known;
    release: `incident:7@sha256:…` or as much as is known; tier: None where the model is not known; bytes: what it takes.
    in_use: why it is needed whatever its age, empty where it is not; last: its place from the end of its series (1 = the newest), 0 without one.
    """

    store: StoreName
    id: str
    born: datetime
    since: datetime
    model: str = ""
    release: str = ""
    tier: RiskTier | None = None
    region: str = ""
    bytes: int = 0
    in_use: str = ""
    last: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known of an item just before it goes. content: `sha256:<hex>` of what it holds; parts: what goes with it, as its store calls that."""

    content: str
    parts: tuple[str, ...] = ()


class Store(Protocol):
    """name: by which policies speak of it."""

    @property
    def name(self) -> StoreName: ...

    def items(self) -> Iterator[Item]:
        """Everything, one at a time, in an order that does not depend on when it is asked."""

    def prepare(self, item: Item) -> Prepared | None:
        """What proves it; None where it is gone, or is another by now."""

    def whole(self, id: str, prepared: Prepared) -> bool:
        """Whether it still lies there as it was prepared, with nothing of it removed."""

    def remove(self, id: str, prepared: Prepared) -> bool:
        """Remove it for good. Called again, it finishes what was begun, and touches nothing else that has come to its place. False where it was
        left: somebody has touched it meanwhile."""
