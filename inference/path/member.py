"""One member of a release as the path calls it: its model, its calibration, its breaker, and how it has been doing lately."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from inference.path.breaker import Breaker
from inference.path.drift import DriftGate
from inference.path.model import ModelFailed
from inference.path.recall import Recall
from inference.path.request import F32
from presage.logs import get_logger
from presage.package.calibration import VennAbers
from presage.package.treeshap import TreeExplainer

_log = get_logger("presage.path")
_LEAVE = 0.002
"""Seconds before a deadline that are kept for the rungs below."""
_MEMORY = 1 / 64
"""Weight of the newest call in what is remembered of latency and errors."""


class RemoteModel(Protocol):
    """A model in another process of this Pod (Triton)."""

    async def score(self, x: F32, seconds: float) -> list[float]:
        """A score a row within `seconds`. Raises ModelFailed."""


@dataclass
class Standing:
    """What a member has been like lately. seconds: a call, smoothed; errors: share of calls that failed, smoothed; loss: squared error
    of its risks against what happened, smoothed, None until somebody tells."""

    seconds: float = 0.0
    errors: float = 0.0
    loss: float | None = None

    def called(self, seconds: float, failed: bool) -> None:
        self.seconds += _MEMORY * (seconds - self.seconds) if self.seconds else seconds
        self.errors += _MEMORY * (failed - self.errors)

    def outcome(self, risk: float, happened: bool) -> None:
        """What came of a prediction: risk as it was given, and whether the incident did happen."""
        loss = (risk - happened) ** 2
        self.loss = loss if self.loss is None else self.loss + _MEMORY * (loss - self.loss)

    @property
    def cost(self) -> float:
        """Lower is better: mostly how wrong and how failing it is, then how slow (s)."""
        return (self.loss or 0.0) + self.errors + 0.1 * self.seconds


class Member:
    """id: as the release names it. score: the model in this process, None where `remote` is it. width: the leading inputs it reads."""

    def __init__(
        self, id: str, *, score: Callable[[F32], list[float]] | None, remote: RemoteModel | None, calibration: VennAbers,
        explainer: TreeExplainer | None, breaker: Breaker, drift: DriftGate, clock: Callable[[], float], width: int, recall: Recall | None = None,
    ) -> None:  # fmt: skip
        self.id, self.calibration, self.explainer, self.breaker, self.standing, self.width = id, calibration, explainer, breaker, Standing(), width
        self.score, self.remote = score, remote
        self._drift, self._clock, self._recall = drift, clock, recall

    def away(self) -> str | None:
        """Why it may not be asked now; None where it may, and then it must be asked."""
        if self._recall is not None and (because := self._recall.reason()) is not None:
            return f"{self.id}: {because}"
        if (because := self._drift.reason()) is not None:
            return f"{self.id}: {because}"
        if not self.breaker.admits():
            return f"{self.id}: left alone ({self.breaker.cause})"
        return None

    async def ask(self, x: F32, deadline: float) -> list[float]:
        """A score a row, NaN where the model gave none that is a probability. Raises ModelFailed; tells breaker and standing.

        Suspends only where the model is remote. deadline: on the member's clock.
        """
        before = self._clock()
        try:
            scores = await self._call(x if self.width == x.shape[-1] else x[..., : self.width], deadline - before - _LEAVE)
            if len(scores) == len(x) and not [score for score in scores if 0.0 <= score <= 1.0]:
                raise ModelFailed("failed", "no score is a probability")
        except ModelFailed as failure:
            self.standing.called(self._clock() - before, failed=True)
            if failure.cause == "slow" and deadline - before - _LEAVE < self.breaker.slow_after:
                self.breaker.unused()  # the callers were in a hurry; that says nothing of the model
            else:
                self.breaker.failed(failure.cause)
            _log.error("a member failed", member=self.id, cause=str(failure), rows=len(x))
            raise
        except BaseException:
            self.breaker.unused()
            raise
        seconds = self._clock() - before
        self.standing.called(seconds, failed=False)
        self.breaker.succeeded(seconds)
        return scores

    def _call(self, x: F32, seconds: float) -> Awaitable[list[float]]:
        if self.remote is not None:
            return self.remote.score(x, max(0.0, min(seconds, self.breaker.slow_after)))
        assert self.score is not None
        return _now(self.score, x)


async def _now(score: Callable[[F32], list[float]], x: F32) -> list[float]:
    return score(x)
