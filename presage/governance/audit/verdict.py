"""What verification says: which entry, what is wrong, what to do."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Code = Literal["entry", "order", "tail", "root", "behind", "head", "checkpoint", "key", "anchor"]
MOST = 20
"""Findings that are told; the rest is counted."""

RESTORE = "Restore the log from a backup, and find out who could write there"


@dataclass(frozen=True)
class Finding:
    """code: what kind; entry: the first one that it is about, None where it is about none; fact and remedy: sentences without an end."""

    code: Code
    fact: str
    entry: int | None = None
    remedy: str = RESTORE

    def __str__(self) -> str:
        return f"{self.fact}. {self.remedy}."


@dataclass
class Findings:
    """Those of one verification, the first MOST of them."""

    found: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, code: Code, fact: str, entry: int | None = None, remedy: str = RESTORE) -> None:
        if len(self.found) < MOST:
            self.found.append(Finding(code, fact, entry, remedy))
        else:
            self.more += 1

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)


@dataclass(frozen=True)
class Verdict:
    """entries: how many are in order, from the first; findings: empty where nothing is wrong; more: findings beyond those; checkpoints, anchors: how
    many were held against the log; root: hex, over those entries; notes: what is to be known and is nothing wrong."""

    entries: int
    findings: tuple[Finding, ...]
    checkpoints: int
    anchors: int
    root: str
    notes: tuple[str, ...] = ()
    more: int = 0

    @property
    def good(self) -> bool:
        return not self.findings

    @property
    def first_wrong(self) -> int | None:
        """The first entry that is not as it was, as far as can be told."""
        return min((one.entry for one in self.findings if one.entry is not None), default=None)
