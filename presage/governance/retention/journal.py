"""What retention is about to do, on the disk before it does it; and by which terms it ever did.

    retention/intent.json            the one deletion that is under way; not there: none is
    retention/terms/<hex>.json       every document of terms that something was deleted by, by its digest
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from presage.errors import StateError
from presage.files import canonical_json, sha256_bytes, write_bytes
from presage.governance.audit.durable import made_folder, synced_folder
from presage.governance.retention.terms import LIMIT, Terms
from presage.package.locks import locked

_INTENT, _TERMS = "intent.json", "terms"


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """store, id: what goes; content, parts: as it was prepared; facts: of the entry that will tell of it."""

    store: str
    id: str
    content: str
    parts: list[str]
    facts: dict[str, str | int]

    @property
    def deletion(self) -> str:
        """The name of this one deletion, by which its entry is found again."""
        return f"sha256:{sha256_bytes(canonical_json(msgspec.to_builtins(self)))}"

    @property
    def subject(self) -> str:
        return f"{self.store}/{self.id}"


@dataclass(frozen=True)
class Journal:
    """folder: `retention` of a state directory."""

    folder: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One deletes at a time; who comes second waits."""
        made_folder(self.folder)
        with locked(self.folder):
            for left in self.folder.rglob(".*"):  # of a killed process, half-written
                shutil.rmtree(left, ignore_errors=True)
            yield

    def intent(self) -> Intent | None:
        """What was under way. Raises StateError where the file is none of ours."""
        path = self.folder / _INTENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=Intent)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError:
            raise StateError(f"{path} is no record of a deletion. Look at what it is, and remove it.") from None

    def begin(self, intent: Intent) -> None:
        """On the disk before anything goes."""
        write_bytes(self.folder / _INTENT, msgspec.json.encode(intent))
        synced_folder(self.folder)

    def end(self) -> None:
        """After its entry: a power cut may bring it back, and its entry is found then."""
        with suppress(FileNotFoundError):
            (self.folder / _INTENT).unlink()

    def keep(self, terms: Terms) -> None:
        """So that an entry's rule can be read later, whatever the policy says by then."""
        place = self._terms(terms.digest)
        if not place.is_file():
            made_folder(place.parent)
            write_bytes(place, terms.content)
            synced_folder(place.parent)

    def terms(self, digest: str) -> Terms | None:
        """Those of that digest; None where they are not here, or are others by now."""
        path = self._terms(digest)
        if not path.is_file():
            return None
        content = path.read_bytes()[: LIMIT + 1]
        return Terms.parse(content, str(path)) if f"sha256:{sha256_bytes(content)}" == digest else None

    def _terms(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.folder / _TERMS / f"{name if len(name) == 64 and name.isalnum() else 'none'}.json"
