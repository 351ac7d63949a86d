"""A release store (a folder or a bucket): its releases and packages by name, and the blobs that no name leads to.

A name goes first, by compare-and-swap; then the blobs that only it led to, but those that somebody wrote or refreshed within a day: a publisher may be about
to name them. What is left so is a leftover, and goes as one.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from presage.errors import ArtifactRefused, StateError
from presage.governance.retention.items import Item, Prepared, StoreName
from presage.governance.retention.terms import Terms
from presage.package import oci
from presage.package.oci import Descriptor, Layout
from presage.package.store import CREATED, RELEASE_DIGEST

TOUCHED = timedelta(days=1)
"""What was written or refreshed within this time is left: twice the half day for which storages count a refreshed blob as new."""
_BLOBS = "blobs/sha256/"
_HALF = (".index.json.", ".oci-layout.")  # how a folder's writers call what they write aside


@dataclass(frozen=True)
class Packages:
    """used: `incident:7@sha256:…`, or its digest alone → why it is needed whatever its age."""

    layout: Layout
    terms: Terms
    used: Mapping[str, str]
    clock: Callable[[], datetime]
    name: StoreName = "packages"
    _counts: "Counter[str]" = field(default_factory=Counter)

    def items(self) -> Iterator[Item]:
        """In the index's order. The index is bounded (4 MiB), and so is what is kept of it."""
        self._counts.clear()
        entries = [entry for entry in self.layout.top().manifests if entry.annotations.get(oci.REF_NAME)]
        left = Counter(_series(entry) for entry in entries)
        for entry in sorted(entries, key=lambda entry: (_series(entry), _number(entry))):
            yield self._item(entry, left[_series(entry)])
            left[_series(entry)] -= 1

    def prepare(self, item: Item) -> Prepared | None:
        """parts: the blobs that this name alone leads to, its own index among them; content: that index's digest."""
        entry = next((entry for entry in self.layout.top().manifests if _id(entry) == item.id), None)
        if entry is None:
            return None
        counts = self._counted()
        return Prepared(entry.digest, tuple(sorted(digest for digest in _digests(self.layout, entry) if counts[digest] == 1)))

    def whole(self, id: str, prepared: Prepared) -> bool:
        return any(_id(entry) == id and entry.digest == prepared.content for entry in self.layout.top().manifests)

    def remove(self, id: str, prepared: Prepared) -> bool:
        def leave(entries: list[Descriptor]) -> None:
            entries[:] = [entry for entry in entries if not (_id(entry) == id and entry.digest == prepared.content)]

        entry = next((entry for entry in self.layout.top().manifests if _id(entry) == id and entry.digest == prepared.content), None)
        led = _digests(self.layout, entry) if entry is not None and self._counts else set()
        self.layout.update(leave)
        counts = self._counted()
        counts.subtract(led)
        for digest in prepared.parts:
            if counts[digest] <= 0:
                self.layout.storage.remove(self.layout.key(digest), self.clock() - TOUCHED)
        return True

    def _counted(self) -> "Counter[str]":
        """Digest → how many names lead to it. Counted once: what is published meanwhile was refreshed, so it is not removed whatever was counted."""
        if not self._counts:
            self._counts.update(digest for entry in self.layout.top().manifests for digest in _digests(self.layout, entry))
        return self._counts

    def _item(self, entry: Descriptor, last: int) -> Item:
        digest = entry.annotations.get(RELEASE_DIGEST, "")
        release = f"{entry.annotations[oci.REF_NAME]}@{digest}" if digest else ""
        series = _series(entry)
        model = series.removeprefix("models/")
        born = self._born(entry)
        size = sum(found.size for found in reached(self.layout, entry, quietly=True))
        return Item(
            self.name, _id(entry), born, born, model=model, release=release, tier=self.terms.tier(model), region=self.terms.region(model), bytes=size,
            in_use=self.used.get(release) or self.used.get(digest, ""), last=last,
        )  # fmt: skip

    def _born(self, entry: Descriptor) -> datetime:
        """When it was named: its own word, or when its index was last written where that is later. What cannot be told is as young as it can be."""
        written = self.layout.storage.written(self.layout.key(entry.digest))
        if written is None:
            return self.clock()
        try:
            made = datetime.fromisoformat(entry.annotations.get(CREATED, ""))
        except ValueError:
            return written
        return max(written, made if made.tzinfo else made.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Leftovers:
    """Blobs that no name leads to, and what killed writers left half-written. Their age counts from when they were last written or refreshed."""

    layout: Layout
    terms: Terms
    clock: Callable[[], datetime]
    name: StoreName = "leftovers"
    _needed: set[str] = field(default_factory=set)

    def items(self) -> Iterator[Item]:
        self._needed.clear()
        needed = self._references()
        for stored in self.layout.storage.listed(""):
            if stored.key.startswith((_BLOBS, *_HALF)) and _digest(stored.key) not in needed:
                yield Item(self.name, stored.key, stored.written, stored.written, bytes=stored.size)

    def prepare(self, item: Item) -> Prepared | None:
        """parts: when it was last written; content: a blob's name says it, and of what is half-written nobody does."""
        name = item.id.removeprefix(_BLOBS)
        return Prepared(_digest(item.id) if len(name) == 64 and name.isalnum() else "", (item.born.isoformat(),))

    def whole(self, id: str, prepared: Prepared) -> bool:
        return self.layout.storage.written(id) is not None

    def remove(self, id: str, prepared: Prepared) -> bool:
        if _digest(id) in self._references():
            return False
        written = datetime.fromisoformat(prepared.parts[0])
        return self.layout.storage.remove(id, min(self.clock() - TOUCHED, written + timedelta(seconds=1)))

    def _references(self) -> set[str]:
        if not self._needed:
            self._needed.update(references(self.layout))
        return self._needed


def reached(layout: Layout, entry: Descriptor, *, quietly: bool = False) -> Iterator[Descriptor]:
    """Every blob that an entry of the index leads to, itself first. Raises StateError where one cannot be read; quietly: leaves out what is behind it."""
    pending = [entry]
    seen: set[str] = set()
    while pending:
        found = pending.pop()
        if found.digest in seen:
            continue
        seen.add(found.digest)
        yield found
        try:
            if found.media_type == oci.INDEX:
                pending += layout.read_index(found).manifests
            elif found.media_type == oci.MANIFEST:
                manifest = layout.read_manifest(found)
                pending += [manifest.config, *manifest.layers]
        except ArtifactRefused as error:
            if not quietly:
                raise StateError(f"{layout}: {error.message} Until then nothing is removed there: what it leads to cannot be told.") from None


def references(layout: Layout) -> set[str]:
    """Digests of every blob that some name leads to. The index is bounded, so this is."""
    return {found.digest for entry in layout.top().manifests for found in reached(layout, entry)}


def _digests(layout: Layout, entry: Descriptor) -> set[str]:
    return {found.digest for found in reached(layout, entry)}


def _digest(key: str) -> str:
    return f"sha256:{key.removeprefix(_BLOBS)}"


def _id(entry: Descriptor) -> str:
    digest = entry.annotations.get(RELEASE_DIGEST)
    return f"{entry.annotations.get(oci.REF_NAME, '')}@{digest or entry.digest}"


def _series(entry: Descriptor) -> str:
    return entry.annotations[oci.REF_NAME].rpartition(":")[0]


def _number(entry: Descriptor) -> tuple[int, str, str]:
    version = entry.annotations[oci.REF_NAME].rpartition(":")[2]
    return (int(version) if version.isdigit() and entry.annotations.get(RELEASE_DIGEST) else 0), entry.annotations.get(CREATED, ""), version
