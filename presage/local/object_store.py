"""Who may do what in the plane's object store: accounts made once, written in the form that SeaweedFS reads.

    accounts = Accounts.open(state.plane / "object-store")
    accounts.of("serving")        {"access_key": …, "secret_key": …}: reads releases
    accounts.of("publisher")      reads and writes them

A cluster's object store has its own accounts; their keys lie in Vault in both, under the same paths.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from presage.errors import StateError
from presage.files import read_json, write_json

BUCKET = "releases"
_ACTIONS: Mapping[str, tuple[str, ...]] = {
    "admin": ("Admin", "Read", "Write", "List", "Tagging"),
    "publisher": (f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}"),
    "serving": (f"Read:{BUCKET}", f"List:{BUCKET}"),
}


@dataclass(frozen=True)
class Accounts:
    """Access and secret key by account."""

    keys: Mapping[str, Mapping[str, str]]

    @classmethod
    def open(cls, folder: Path) -> "Accounts":
        """The accounts in `folder` (0600), made on first use, and `s3.json` beside them for the server. Raises StateError where they are damaged."""
        path = folder / "accounts.json"
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_json(path, {name: {"access_key": secrets.token_hex(10).upper(), "secret_key": secrets.token_urlsafe(30)} for name in _ACTIONS})
        try:
            found = read_json(path)
            accounts = cls({name: {"access_key": str(found[name]["access_key"]), "secret_key": str(found[name]["secret_key"])} for name in _ACTIONS})
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{path} is damaged ({error}). Remove it; the next `presage up` makes new accounts.") from None
        write_json(folder / "s3.json", accounts.document())
        return accounts

    def of(self, name: str) -> Mapping[str, str]:
        return self.keys[name]

    def document(self) -> dict[str, object]:
        """SeaweedFS's identities."""
        return {
            "identities": [
                {"name": name, "credentials": [{"accessKey": keys["access_key"], "secretKey": keys["secret_key"]}], "actions": list(_ACTIONS[name])}
                for name, keys in self.keys.items()
            ]
        }
