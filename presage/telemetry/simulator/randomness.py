"""One random generator a concern, so that a new concern (or one more draw in an old one) moves no other."""

import zlib

import numpy as np


def generator(seed: int, concern: str, index: int = 0) -> np.random.Generator:
    """The generator of `concern` in period `index` (a day or a week, which may lie before the epoch)."""
    return np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(zlib.crc32(concern.encode()), index + 2**20)))
