"""A step as a pull request, where a forge keeps the branch: who asks, under which name, and when it is asked no more.

    asking = Asking(forge, folder)
    asking.ask(repository, step, write)       # opens one, or finds the one that is open; raises Refused where a person closed it

The branch is called by place, release and the number that its record will have, so whoever comes to the same decision again (two judges, or one that was
killed) comes to the same request. Of each number there are two at most: forward, and back. Asking for the way back closes what was asked forward.

An open one is left as it is, for reviews hold for what was seen. Only where the branch went on and changed what the step changes, the step is made anew.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from presage.errors import StateError
from presage.files import read_json, sha256_bytes, write_json
from presage.release.forge import Forge, Request
from presage.release.repository import Moved, Repository

_PREFIX = "release/"


class Closed(StateError):
    """A person closed the request without merging it."""


class Written(NamedTuple):
    """One step, written into a folder: what there is to be committed. record: its path in the repository."""

    tree: Path
    message: str
    record: str
    digest: str


@dataclass(frozen=True)
class Name:
    """number: of the record that the step will have. back: whether it goes back."""

    place: str
    release: str
    number: int
    back: bool

    @property
    def of_release(self) -> str:
        return f"{_PREFIX}{self.place}.{self.release}."

    @property
    def branch(self) -> str:
        return f"{self.of_release}{self.number:02}{'-back' if self.back else ''}"


@dataclass(frozen=True)
class Asked:
    """What was asked for and has not been seen on the branch yet. facts: what the audit log is told when it has."""

    record: str
    digest: str
    facts: dict[str, str]


class Asking:
    """folder: where it keeps what was asked for, until it is on the branch."""

    def __init__(self, forge: Forge, folder: Path) -> None:
        self._forge, self._folder = forge, folder

    def ask(
        self, repository: Repository, parent: str, name: Name, written: Callable[[], AbstractContextManager[Written]], facts: dict[str, str]
    ) -> Request:  # fmt: skip
        """The open request for this step. written: makes the step on `parent`, where it has to be made. Raises Closed, Moved, StateError."""
        if repository.head() != parent:  # it may have been merged in this very moment
            raise Moved(f"{repository.branch} is not at {parent[:12]} any more. Read it again, then decide again.")
        found = self._forge.find(name.branch)
        if found is not None and found.state != "open" and not found.merged:
            raise Closed(f"{found.url} was closed and not merged, so nothing goes on. Open it again, or take the release back: presage release revert.")
        there = repository.at_remote(name.branch)
        if there is None or found is None or found.merged or _is_stale(repository, there, parent):
            with written() as step:
                self._remember(Asked(step.record, step.digest, facts))  # first: what is asked for and not known here would be told to nobody
                repository.propose(name.branch, parent, step.tree, step.message, there)
                title, _, body = step.message.partition("\n\n")
            found = self._forge.open(name.branch, title, body)
        if name.back:
            self.close_forward(name, f"The release is taken back: {found.url}")
        return found

    def close_forward(self, name: Name, because: str) -> None:
        """Close what was asked for on a release's way forward."""
        for one in self._forge.open_ones(name.of_release):
            if not one.branch.endswith("-back"):
                self._forge.close(one.number, because)

    def merged(self, repository: Repository) -> Iterator[Asked]:
        """What was asked for and is on the branch now, as far as it was fetched last. Each is given once, or again where a kill comes in between."""
        for path in sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []:
            document = read_json(path)
            asked = Asked(document["record"], document["digest"], document["facts"])
            there = repository.read(repository.known(), asked.record)
            if there is None:
                continue
            if f"sha256:{sha256_bytes(there)}" == asked.digest:  # another one: somebody else asked for the same step
                yield asked
            path.unlink(missing_ok=True)

    def _remember(self, asked: Asked) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{asked.record.replace('/', '_')}.{asked.digest[7:19]}.json"
        write_json(self._folder / name, {"record": asked.record, "digest": asked.digest, "facts": asked.facts})


def _is_stale(repository: Repository, asked: str, head: str) -> bool:
    """Whether the branch went on, and changed a file that the request changes."""
    parent = repository.parent_of(asked)
    return parent != head and bool(repository.between(parent, head) & repository.between(parent, asked))
