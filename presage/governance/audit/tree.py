"""The Merkle tree of RFC 6962 (section 2.1) over the entries, kept as the roots of its complete subtrees: an append needs no more of it.

    tree = Tree()
    tree.add(line)
    tree.root()           bytes[32]
"""

import hashlib
from collections.abc import Iterable

_LEAF, _NODE = b"\x00", b"\x01"


class Tree:
    """size: how many leaves; roots: of its complete subtrees, the largest first."""

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size, self.roots = size, list(roots)

    def add(self, leaf: bytes) -> None:
        """One more leaf."""
        node = hashlib.sha256(_LEAF + leaf).digest()
        size = self.size
        while size % 2:
            node = hashlib.sha256(_NODE + self.roots.pop() + node).digest()
            size //= 2
        self.roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The tree's hash; that of nothing where it is empty."""
        if not self.roots:
            return hashlib.sha256().digest()
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = hashlib.sha256(_NODE + left + node).digest()
        return node
