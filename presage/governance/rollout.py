"""`policies/rollout.yaml`: in which order domains get a release, and when nothing is promoted.

    policy.frozen(datetime.now(UTC))        the freeze that holds now, or None
    policy.before("databases")              ("network",)
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter

from presage.documents import parse_as
from presage.errors import InputError
from presage.files import read_text
from presage.governance.document import Document, Duration, Id, Sentence

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Hour = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]


class Weekly(Document):
    """Days and hours of a week (UTC); until 24:00 is the day's end."""

    days: tuple[Day, ...] = Field(min_length=1)
    from_: Hour = Field(alias="from")
    until: Hour


class Freeze(Document):
    """Either `every` week, or once, `from` `until`."""

    id: Id
    because: Sentence
    every: Weekly | None = None
    from_: AwareDatetime | None = Field(default=None, alias="from")
    until: AwareDatetime | None = None

    def holds(self, now: datetime) -> bool:
        now = now.astimezone(UTC)
        if self.every is not None:
            minute = f"{now:%H:%M}"
            return DAYS[now.weekday()] in self.every.days and self.every.from_ <= minute < self.every.until
        assert self.from_ is not None and self.until is not None
        return self.from_ <= now < self.until


class Rollout(Document):
    """See policies/rollout.yaml, which explains itself."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    order: tuple[str, ...]
    after: Duration
    freezes: tuple[Freeze, ...] = ()

    def frozen(self, now: datetime) -> Freeze | None:
        """The first freeze that holds at `now`."""
        return next((freeze for freeze in self.freezes if freeze.holds(now)), None)

    def before(self, domain: str) -> tuple[str, ...]:
        """The domains that a release serves before this one; none for a domain that the order does not name."""
        return self.order[: self.order.index(domain)] if domain in self.order else ()


def load_rollout(path: Path) -> Rollout:
    """Raises InputError naming file, key, value and remedy."""
    return parse_rollout(read_text(path, "policy of rollout", "Write one, starting from policies/rollout.yaml."), str(path))


def parse_rollout(text: str, where: str) -> Rollout:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(Rollout), text, where)
    if len(set(policy.order)) != len(policy.order):
        raise InputError(f"{where}: order names a domain twice ({', '.join(policy.order)}). Name each once.")
    for position, freeze in enumerate(policy.freezes):
        at = f"{where}: freezes.{position} ({freeze.id})"
        if (freeze.every is None) == (freeze.from_ is None or freeze.until is None):
            raise InputError(f"{at} needs exactly one of every, or from and until. Mend it.")
        if freeze.every is not None and freeze.every.from_ >= freeze.every.until:
            raise InputError(f"{at}.every goes from {freeze.every.from_} until {freeze.every.until}: no time at all. Split it at midnight, or mend it.")
        if freeze.from_ is not None and freeze.until is not None and freeze.from_ >= freeze.until:
            raise InputError(f"{at} ends at {freeze.until:%Y-%m-%dT%H:%M}, before it begins. Mend it.")
    return policy
