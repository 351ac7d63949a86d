"""The entries read again: each line, its chain, and the tree's root wherever a checkpoint names one.

    read_entries(folder)                                   those that were acknowledged, without asking whether they are genuine
    Reading(path, wanted, findings).read(lines(path, length))
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from presage.errors import StateError
from presage.governance.audit.checkpoints import Checkpoint
from presage.governance.audit.entries import FIRST, LONGEST, Entry, digest_of, parse_entry
from presage.governance.audit.head import read_head
from presage.governance.audit.tree import Tree
from presage.governance.audit.verdict import Findings
from presage.package.locks import locked

ENTRIES = "entries.jsonl"
Wanted = dict[int, list[tuple[str, Checkpoint]]]


@dataclass
class Reading:
    """wanted: size → (where, checkpoint) to be held against the first so many entries.

    tree, last, length: over the entries before the first that is wrong; behind: the number that the next line should have.
    """

    path: Path
    wanted: Wanted
    findings: Findings
    tree: Tree = field(default_factory=Tree)
    last: str = FIRST
    length: int = 0
    broken: int | None = None
    """The first entry that is not in order."""
    fitting: int = 0
    """The largest size at which a checkpoint fitted."""
    unlike: tuple[int, str] | None = None
    """The first size at which one did not fit, and where that one is."""
    next: int = 0
    _digest: str | None = FIRST
    """Of the line before; None where it cannot be held against the next."""

    def read(self, lines: Iterable[bytes]) -> None:
        self._hold()
        for line in lines:
            self._take(line)
        self._tell_root()
        self._tell_tail()

    def _take(self, line: bytes) -> None:
        n, ended = self.next, line.endswith(b"\n")
        self.next = n + 1
        if not ended:
            self._wrong(n)
            self.findings.add("entry", f"{self.path}: entry {n} has no end of line", n)
            self._digest = None
            return
        line = line[:-1]
        try:
            found = parse_entry(line, n, str(self.path))
        except StateError as error:
            self._wrong(n)
            self.findings.add("entry", error.message, n)
            self._digest = None  # the next one names what this was, not what it is
            return
        self._follow(found, n)
        self._digest = digest_of(line)
        if self.broken is None and self.unlike is None:
            self.tree.add(line)
            self.last, self.length = self._digest, self.length + len(line) + 1
            self._hold()

    def _follow(self, found: Entry, n: int) -> None:
        if found.n > n:
            left_out = f"entry {n} was left out" if found.n == n + 1 else f"entries {n} to {found.n - 1} were left out"
            self._wrong(n)
            self.findings.add("order", f"{self.path}: {left_out}", n)
            self.next = found.n + 1
        elif found.n < n:
            self._wrong(n)
            self.findings.add("order", f"{self.path}: entry {found.n} stands where entry {n} should: it was put in, repeated or moved", found.n)
            self.next = found.n + 1
        elif self._digest is not None and found.previous != self._digest:
            before = max(0, n - 1)
            which = f"entry {n} does not name the digest that entry {n - 1} has: one of the two was changed" if n else "entry 0 names one before it"
            self._wrong(before)
            self.findings.add("order", f"{self.path}: {which}", before)

    def _wrong(self, n: int) -> None:
        if self.broken is None:
            self.broken = n

    def _hold(self) -> None:
        for where, checkpoint in self.wanted.get(self.tree.size, ()):
            if checkpoint.root == self.tree.root():
                self.fitting = self.tree.size
            elif self.unlike is None:
                self.unlike = (self.tree.size, where)

    def _tell_root(self) -> None:
        """A checkpoint that did not fit, unless the chain already names the entry that is the reason."""
        if self.unlike is None or (self.broken is not None and self.fitting <= self.broken < self.unlike[0]):
            return
        size, where = self.unlike
        self.broken = self.fitting
        fact = f"{self.path}: the first {size} entries are not those that {where} was made over"
        self.findings.add("root", f"{fact}: history was written anew, at entry {self.fitting} at the earliest", self.fitting)

    def _tell_tail(self) -> None:
        """Checkpoints of more entries than there are."""
        longest = max(self.wanted, default=0)
        if longest > self.next:
            where = self.wanted[longest][0][0]
            gone = f"entry {self.next}" if longest == self.next + 1 else f"entries {self.next} to {longest - 1}"
            self._wrong(self.next)
            self.findings.add("tail", f"{self.path}: its tail was cut, {gone}: {where} knows of {longest}", self.next)


def read_entries(folder: Path) -> Iterator[Entry]:
    """Every entry that was acknowledged, in order; nothing is made where there is no log. Raises StateError at one that is none."""
    path = folder / ENTRIES
    if not path.is_file():
        return
    with locked(folder):
        length = _signed_length(read_head(folder), path.stat().st_size)
    for n, line in enumerate(lines(path, length)):
        if line.endswith(b"\n"):
            yield parse_entry(line[:-1], n, str(path))


def _signed_length(head: bytes | None, size: int) -> int:
    """Bytes of the entries that a head covers, as far as it can be read at all; else all there are."""
    try:
        return min(int(orjson.loads(head or b"")["length"]), size)
    except (ValueError, KeyError, TypeError):
        return size


def lines(path: Path, length: int) -> Iterator[bytes]:
    """Those in the first `length` bytes, each with its end; a longer one than an entry may be comes in pieces without."""
    left = length
    with path.open("rb") as handle:
        while left > 0 and (line := handle.readline(min(left, LONGEST + 1))):
            left -= len(line)
            yield line


def read_part(path: Path, begin: int, count: int) -> bytes:
    with path.open("rb") as handle:
        handle.seek(begin)
        return handle.read(count)


def unacknowledged(rest: bytes) -> str | None:
    """What a kill left behind the head, as part of a sentence; None where it is more than one append could have left."""
    if len(rest) > LONGEST + 1 or b"\n" in rest[:-1]:
        return None
    return "an entry" if rest.endswith(b"\n") else "a torn line"
