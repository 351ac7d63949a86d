"""Python's collector of rings, kept out of the way where tens of thousands of objects are made and none of them is a ring."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """It would walk all of them again and again while they are made: half of the time that it takes to ship fifty thousand records."""
    ran = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if ran:
            gc.enable()
