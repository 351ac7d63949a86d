"""`policies/revocations.yaml`: digests that nobody loads any more, and what gates and servers read of it."""

from datetime import date
from pathlib import Path

import msgspec
from pydantic import TypeAdapter

from presage.documents import parse_as, read_commented, write_commented
from presage.errors import InputError
from presage.files import read_text, write_bytes
from presage.governance.document import Digest, Document, Id, Sentence


class Revoked(Document):
    """digest: of a release's document, or of a package's manifest."""

    digest: Digest
    because: Sentence
    since: date


class RevokedReleases(Document):
    """See policies/revocations.yaml, which explains itself."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    revoked: tuple[Revoked, ...]

    def compiled(self) -> str:
        """The list as gates and servers read it (presage.package.revocation)."""
        entries = [{"digest": entry.digest, "because": entry.because} for entry in self.revoked]
        return msgspec.json.format(msgspec.json.encode({"schema": "presage.revocations/v1", "revoked": entries}), indent=2).decode() + "\n"


def load_revoked(path: Path) -> RevokedReleases:
    """Raises InputError naming file, key, value and remedy."""
    return parse_revoked(read_text(path, "list of revoked releases", "Write one, starting from policies/revocations.yaml."), str(path))


def parse_revoked(text: str, where: str) -> RevokedReleases:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(RevokedReleases), text, where)
    digests = [entry.digest for entry in policy.revoked]
    if twice := next((digest for digest in digests if digests.count(digest) > 1), None):
        raise InputError(f"{where}: {twice} is there twice. Keep the entry with the older entry.")
    return policy


def enter(path: Path, digest: str, because: str, since: date) -> None:
    """Add an entry, and leave every other line as it is. Raises InputError where it is there already, or would be no entry."""
    policy = load_revoked(path)
    if any(entry.digest == digest for entry in policy.revoked):
        raise InputError(f"{path}: {digest} is revoked already. Nothing is to be done.")
    document = read_commented(path.read_text(encoding="utf-8"), str(path))
    added = {"digest": digest, "because": because, "since": since}
    if document["revoked"]:
        document["revoked"].append(added)
    else:
        document["revoked"] = [added]  # not into the `[]` that stands there: entries are easier to read a line each
    text = write_commented(document)
    parse_revoked(text, str(path))
    write_bytes(path, text.encode())
    path.chmod(0o644)
