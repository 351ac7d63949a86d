"""What happens to one request, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from inference.journal.writer import Journal
from inference.metrics.catalogue import ServingMetrics
from inference.path.assemble import assemble_input
from inference.path.features import look_up_features
from inference.path.guard import guard_values
from inference.path.interval import add_interval
from inference.path.ladder import call_ladder
from inference.path.online import OnlineFeatures
from inference.path.reasons import add_reasons
from inference.path.record import append_journal
from inference.path.request import PathRequest, Step
from inference.path.served import ServedRelease
from inference.path.shape import PathLimits, check_shape
from inference.path.tier import choose_tier

Clock = Callable[[], float]
Chain = Callable[[PathRequest], None]


@dataclass(frozen=True)
class Backends:
    """What the path touches outside itself. wall: Unix seconds; identity: a fresh request id."""

    online: OnlineFeatures
    journal: Journal
    metrics: ServingMetrics
    wall: Clock
    identity: Callable[[], str]


def build_chain(release: ServedRelease, backends: Backends, limits: PathLimits) -> Chain:
    """The path of one release; built once, at start."""
    contract, metrics = release.contract, backends.metrics
    return _timed(
        metrics,
        preprocess=(
            check_shape(contract, limits),
            look_up_features(backends.online, contract, metrics, backends.wall),
            assemble_input(contract, release.detectors),
            guard_values(contract, metrics),
        ),
        predict=(call_ladder(release.models, release.rules, release.default, metrics),),
        explain=(add_reasons(release.explainers, contract, release.detectors, release.explanation),),
        postprocess=(
            add_interval(release.calibrations),
            choose_tier(release.thresholds),
            append_journal(backends.journal, contract.feature_version, backends.wall, backends.identity),
        ),
    )


def _timed(metrics: ServingMetrics, preprocess: tuple[Step, ...], predict: tuple[Step, ...], explain: tuple[Step, ...], postprocess: tuple[Step, ...]) -> Chain:
    """The steps one after the other; each stage's seconds go to KServe's histograms."""
    stages = ((preprocess, metrics.preprocess), (predict, metrics.predict), (explain, metrics.explain), (postprocess, metrics.postprocess))

    def run(request: PathRequest) -> None:
        before = perf_counter()
        for steps, seconds in stages:
            for step in steps:
                step(request)
            after = perf_counter()
            seconds.observe(after - before)
            before = after

    return run
