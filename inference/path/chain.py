"""What happens to the requests of one loop tick, in order."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from inference.journal.levels import Journal
from inference.metrics.catalogue import ServingMetrics
from inference.metrics.instruments import Observations
from inference.path.assemble import DetectorScores, assemble_input, score_together
from inference.path.distance import measure_distance
from inference.path.each import each, failed
from inference.path.features import look_up_features
from inference.path.flood import Replays, refuse_replays
from inference.path.guard import guard_values
from inference.path.interval import add_interval
from inference.path.online import OnlineFeatures
from inference.path.reasons import add_reasons
from inference.path.record import Recorder
from inference.path.request import BatchStep, PathRequest
from inference.path.served import ServedRelease
from inference.path.shape import PathLimits, check_shape
from inference.path.tier import choose_tier
from presage.errors import RequestRefused, StateError
from presage.logs import get_logger

Clock = Callable[[], float]
Done = Callable[[list[PathRequest]], None]
_log = get_logger("presage.path")
_RECORD = "The prediction cannot be recorded, so it is not given. Ask again; the server's log says what its journal lacks."


@dataclass(frozen=True)
class Backends:
    """What the path touches outside itself. wall: Unix seconds; identity: a fresh request id; spawn: runs a coroutine beside (needed only
    where a member is in another process). clock: seconds, never going back."""

    online: OnlineFeatures
    journal: Journal
    metrics: ServingMetrics
    wall: Clock
    identity: Callable[[], str]
    spawn: Callable[[Coroutine[Any, Any, None]], object] | None = None
    clock: Clock = perf_counter


@dataclass(frozen=True)
class Stage:
    """Steps whose seconds go to one of KServe's histograms."""

    steps: Sequence[BatchStep]
    seconds: Observations


def build_path(release: ServedRelease, backends: Backends, limits: PathLimits) -> "Path":
    """The path of one release; built once, at start."""
    contract, metrics, guards = release.contract, backends.metrics, release.terms.guards
    scores = None if release.detectors is None else DetectorScores(release.detectors)
    return Path(
        release,
        backends,
        preprocess=_stage(
            metrics.preprocess,
            each(check_shape(contract, limits)),
            each(refuse_replays(Replays(backends.clock), guards.replayed_per_minute)),
            look_up_features(backends.online, contract, metrics, backends.wall),
            score_together(scores),
            each(assemble_input(contract, release.detectors, scores)),
            guard_values(contract, metrics),
            measure_distance(release.envelope, guards.on_far),
        ),
        explain=_stage(metrics.explain, each(add_reasons(release.explainers, contract, release.detectors, release.explanation))),
        postprocess=_stage(metrics.postprocess, each(add_interval(release.calibrations)), each(choose_tier(release.thresholds))),
    )


class Path:
    """Preprocess, ladder, explain, postprocess, journal; then, and only then, the answers."""

    def __init__(self, release: ServedRelease, backends: Backends, *, preprocess: Stage, explain: Stage, postprocess: Stage) -> None:
        self._preprocess, self._explain, self._postprocess = preprocess, explain, postprocess
        self._ladder, self.remote = release.ladder(backends.metrics), release.remote
        self._predicted = backends.metrics.predict
        self._journal, self._spawn = backends.journal, backends.spawn
        self._recorder = Recorder(release.contract.feature_version, backends.wall, backends.identity)
        if self.remote and self._spawn is None:
            raise ValueError("a release with members in other processes needs a loop to run on")

    def run(self, batch: list[PathRequest], done: Done) -> None:
        """`done` gets every request of the batch exactly once, in one or several lists: refused, or complete and in the journal."""
        alive = self._through(self._preprocess, batch)
        if len(alive) < len(batch):
            done([request for request in batch if request.refused is not None])
        if not alive:
            return
        if self.remote:
            assert self._spawn is not None
            self._spawn(self._climb(alive, done))
        else:
            _drive(self._climb(alive, done))

    async def _climb(self, batch: list[PathRequest], done: Done) -> None:
        before = perf_counter()
        try:
            await self._ladder.climb(batch)
        except Exception:
            _log.exception("the ladder failed inside")
            done(failed(batch))
            return
        self._predicted.observe_each(perf_counter() - before, len(batch))
        self._conclude(batch, done)

    def _conclude(self, batch: list[PathRequest], done: Done) -> None:
        alive = self._through(self._postprocess, self._through(self._explain, batch))
        if len(alive) < len(batch):
            done([request for request in batch if request.refused is not None])
        if not alive:
            return

        def kept(error: StateError | None) -> None:
            if error is not None:
                _log.error("records were not kept", reason=error.message, requests=len(alive))
                self._recorder.forget(alive)
                for request in alive:
                    request.refused = RequestRefused(503, "journal", _RECORD, retry_after=1)
            done(alive)

        try:
            records = self._recorder.records(alive)
        except Exception:
            _log.exception("a record could not be made")
            done(failed(alive))
            return
        self._journal.append(records, kept)

    @staticmethod
    def _through(stage: Stage, batch: list[PathRequest]) -> list[PathRequest]:
        """Those that no step refused."""
        if not batch:
            return batch
        before = perf_counter()
        alive = batch
        for step in stage.steps:
            try:
                step(alive)
            except Exception:  # a step that fails for all of a tick must leave nobody without an answer
                _log.exception("a step of the path failed inside", requests=len(alive))
                failed(alive)
            for request in alive:
                if request.refused is not None:
                    alive = [request for request in alive if request.refused is None]
                    break
        stage.seconds.observe_each(perf_counter() - before, len(batch))
        return alive


def _stage(seconds: Observations, *steps: BatchStep) -> Stage:
    return Stage(steps, seconds)


def _drive(climb: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never suspends to its end: nothing in it waits for another process."""
    try:
        climb.send(None)
    except StopIteration:
        return
    climb.close()
    raise AssertionError("a member of this process waited for something")
