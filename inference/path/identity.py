"""Names of requests: 16 hex digits, random, so that no two replicas and no two starts ever give the same."""

import os
from collections.abc import Callable

_BYTES, _AT_ONCE = 8, 512


def request_ids() -> Callable[[], str]:
    """A fresh one each call. The system is asked for randomness once in some hundred of them; asking costs as much as a look-up."""
    names: list[str] = []

    def identity() -> str:
        if not names:
            pool = os.urandom(_BYTES * _AT_ONCE).hex()
            names.extend(pool[start : start + 2 * _BYTES] for start in range(0, len(pool), 2 * _BYTES))
        return names.pop()

    return identity
