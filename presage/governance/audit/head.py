"""The log's head, `tree.json`: what the next append needs, signed. What it does not cover was never acknowledged.

    {"checkpoint": the signed note over all entries,
     "roots": of the tree's complete subtrees, base64, the largest first,
     "last": the newest entry's digest, "length": bytes of the entries}

It is replaced at each append, so a tail that is cut, or a last entry that is changed, is found without waiting for the next checkpoint.
"""

import base64
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from presage.errors import StateError
from presage.files import canonical_json
from presage.governance.audit.checkpoints import Checkpoint, VerifyingKey
from presage.governance.audit.entries import FIRST, digest_of
from presage.governance.audit.keys import AuditKey
from presage.governance.audit.tree import Tree

NAME = "tree.json"


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checkpoint: str
    last: str
    length: int
    roots: list[str]


@dataclass(frozen=True)
class Head:
    """tree: over all entries; last: the newest one's digest; length: bytes of all their lines."""

    tree: Tree = field(default_factory=Tree)
    last: str = FIRST
    length: int = 0

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.tree.size, self.tree.root())

    def followed_by(self, line: bytes) -> "Head":
        """That of one entry more. line: without its end."""
        tree = Tree(self.tree.size, self.tree.roots)
        tree.add(line)
        return Head(tree, digest_of(line), self.length + len(line) + 1)

    def signed(self, key: AuditKey) -> bytes:
        roots = [base64.b64encode(root).decode() for root in self.tree.roots]
        return _to_json(_Written(key.sign(self.checkpoint).decode(), self.last, self.length, roots))

    @classmethod
    def parse(cls, content: bytes, key: VerifyingKey, where: str) -> "Head":
        """Raises StateError where it is damaged, or is not signed by `key`."""
        try:
            written = msgspec.json.decode(content, type=_Written)
            roots = [base64.b64decode(root, validate=True) for root in written.roots]
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            raise StateError(f"{where} is damaged") from None
        checkpoint = Checkpoint.parse(written.checkpoint.encode(), key, where)
        head = cls(Tree(checkpoint.size, roots), written.last, written.length)
        exact = _to_json(written) == content and [base64.b64encode(root).decode() for root in roots] == written.roots
        if not exact or head.length < 0 or checkpoint.size.bit_count() != len(roots) or head.checkpoint != checkpoint:
            raise StateError(f"{where} is not written as it was")
        return head


def read_head(folder: Path) -> bytes | None:
    """What is written, None where nothing is."""
    try:
        return (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None


def _to_json(written: _Written) -> bytes:
    return canonical_json(msgspec.to_builtins(written)) + b"\n"
