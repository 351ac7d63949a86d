"""Before the server calls itself ready every part of the path has run: sessions, tables and caches are hot.

What warms up is not a prediction: it is written to no journal and counted nowhere.
"""

import asyncio
from contextlib import suppress
from math import inf

import numpy as np

from inference.path.model import ModelFailed
from inference.path.served import ServedRelease
from inference.path.shape import row_shape

ROUNDS = 64


async def warm_up(release: ServedRelease) -> None:
    """Score and explain rows of random plausible values through every member; yields between rounds, so health stays answered."""
    rng = np.random.default_rng(0)
    fields = release.contract.inputs
    low = np.array([0.0 if field.low is None else field.low for field in fields])
    high = np.array([1.0 if field.high is None else field.high for field in fields])
    shape = row_shape(release.contract)
    for round_number in range(ROUNDS):
        x = (low + (np.maximum(high, low) - low) * rng.random((1 + round_number % 4, *shape))).astype(np.float32)
        for member in release.members.values():
            with suppress(ModelFailed):  # it leaves its rung empty; the path says so with every answer
                for score in await member.ask(x, inf):
                    member.calibration.one(score)
            if member.explainer is not None and round_number % 8 == 0:
                member.explainer.contributions(x[0])
        await asyncio.sleep(0)


