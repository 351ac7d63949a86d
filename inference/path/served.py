"""A verified release made ready to answer: sessions, steps, trees and detectors, all from the bytes that were checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from inference.metrics.catalogue import ServingMetrics
from inference.path.bounds import Bounds
from inference.path.breaker import Breaker, BreakerSettings
from inference.path.drift import Drift, DriftGate, NoDrift
from inference.path.ladder import ENSEMBLE, Ensemble, Ladder, RuleRung, rule_rungs
from inference.path.member import Member, RemoteModel
from inference.path.model import ModelFailed, load_model
from inference.path.reasons import When
from inference.path.recall import Recall, RevocationList
from inference.path.request import F32
from inference.path.router import Router
from inference.path.terms import Terms, terms_of
from presage.errors import ArtifactRefused
from presage.features.detectors import Detectors
from presage.logs import get_logger
from presage.package.calibration import VennAbers
from presage.package.contract import Contract
from presage.package.envelope import Envelope
from presage.package.release import Package, Release, Route
from presage.package.trees import TreeArrays
from presage.package.treeshap import TreeExplainer

_log = get_logger("presage.path")
NO_REMOTE: Mapping[str, RemoteModel] = {}


@dataclass(frozen=True)
class ServedRelease:
    """members: by id. rungs: the ladder's roles that are models, in order; weights: shares of an ensemble in the first rung's place, empty
    where the primary answers alone. default: the risk when nothing else answers; thresholds: lowest risk of each tier; explanation,
    region, journal: as the model's policy says. envelope: of the data that the primary was trained on."""

    name: str
    version: str
    digest: str
    family: str
    contract: Contract
    members: dict[str, Member]
    rungs: list[str]
    weights: dict[str, float]
    routes: list[Route]
    detectors: Detectors | None
    envelope: Envelope | None
    rules: list[RuleRung]
    default: float
    thresholds: dict[str, float]
    explanation: When
    region: str
    journal: Literal["process", "disk", "replicated"]
    bounds: Bounds
    terms: Terms

    @property
    def input_names(self) -> list[str]:
        return [field.name for field in self.contract.inputs]

    @property
    def remote(self) -> bool:
        """Whether a member is asked in another process."""
        return any(member.remote is not None for member in self.members.values())

    @property
    def calibrations(self) -> dict[str, VennAbers]:
        return {id: member.calibration for id, member in self.members.items()}

    @property
    def explainers(self) -> dict[str, TreeExplainer | None]:
        """By what answered; an ensemble is explained by the heaviest member that has trees."""
        explainers = {id: member.explainer for id, member in self.members.items()}
        heaviest = sorted(self.weights, key=lambda id: -self.weights[id])
        return {**explainers, ENSEMBLE: next((explainers[id] for id in heaviest if explainers[id] is not None), None)}

    def ladder(self, metrics: ServingMetrics) -> Ladder:
        rungs: dict[str, Member | Ensemble] = {role: self.members[role] for role in self.rungs}
        if self.weights:
            rungs[self.rungs[0]] = Ensemble([(self.members[id], share) for id, share in self.weights.items()])
        metrics.watch_breakers({id: member.breaker for id, member in self.members.items()})
        return Ladder(rungs, Router(self.routes, self.members), self.rules, self.default, metrics)


def ready_release(
    release: Release, *, drift: Drift | None = None, remote: Mapping[str, RemoteModel] = NO_REMOTE, revocations: RevocationList | None = None,
    clock: Callable[[], float] = perf_counter,
) -> ServedRelease:  # fmt: skip
    """Load every member that ladder, ensemble or router can name. remote: by member id, those that another process of the Pod runs.
    revocations: looked at while it serves.

    A model that the runtime cannot load leaves its rung empty, and is tried again by its breaker. Raises ArtifactRefused where a file does
    not fit its contract.
    """
    document, contract = release.document, release.primary.contract
    terms = terms_of(document.policy)
    cooling = terms.ladder.breaker
    settings = BreakerSettings(cooling.failures, cooling.cooldown, cooling.longest_cooldown, cooling.recover, terms.ladder.slow_after)
    members = {
        id: Member(
            id,
            score=None if id in remote else _model(package),
            remote=remote.get(id),
            calibration=package.calibration(),
            explainer=_explainer(package),
            breaker=Breaker(settings, clock),
            drift=DriftGate(id, drift or NoDrift(), terms.ladder.drift_return),
            clock=clock,
            width=_width(contract, package),
            recall=None if revocations is None else Recall(revocations, (release.digest, package.member.package)),
        )
        for id, package in release.packages.items()
    }  # fmt: skip
    detectors = release.primary.files.get("detectors.safetensors")
    return ServedRelease(
        name=release.name,
        version=str(release.version),
        digest=release.digest,
        family=release.primary.member.family,
        contract=contract,
        members=members,
        rungs=[rung for rung in document.ladder if rung not in ("rules", "default")],
        weights=dict(document.weights),
        routes=list(document.router),
        detectors=None if detectors is None else Detectors.load(detectors),
        envelope=_envelope(release.primary),
        rules=rule_rungs(document.rules, contract.view.names) if "rules" in document.ladder else [],
        default=document.default,
        thresholds=dict(document.thresholds),
        explanation=terms.explanation,
        region=terms.region,
        journal=terms.journal,
        bounds=Bounds(wait=terms.bounds.wait, deadline=terms.bounds.deadline),
        terms=terms,
    )


def _model(package: Package) -> Callable[[F32], list[float]]:
    """The package's model; one that cannot be loaded now is loaded when it is asked, or fails again."""
    loaded: list[Callable[[F32], list[float]]] = []
    content = package.onnx

    def score(x: F32) -> list[float]:
        if not loaded:
            loaded.append(load_model(content))
        return loaded[0](x)

    try:
        loaded.append(load_model(content))
    except ModelFailed as failure:
        _log.error("a model cannot be loaded; the next rung answers until it can", model=package.model, cause=str(failure))
        return score
    return loaded[0]


def _explainer(package: Package) -> TreeExplainer | None:
    content = package.files.get("trees.safetensors")
    if content is None:
        return None
    trees = TreeArrays.load(content)
    if trees.features > len(package.contract.inputs):
        inputs = len(package.contract.inputs)
        raise ArtifactRefused("contract", f"trees.safetensors of {package.model} has {trees.features} inputs, its contract {inputs}. Package it again.")
    return TreeExplainer(trees)


def _envelope(package: Package) -> Envelope | None:
    """None in a package without one: then nobody measures how far its rows are."""
    content = package.files.get("envelope.safetensors")
    if content is None:
        return None
    envelope = Envelope.load(content)
    if envelope.inputs != len(package.contract.inputs):
        inputs = len(package.contract.inputs)
        raise ArtifactRefused("contract", f"envelope.safetensors of {package.model} has {envelope.inputs} inputs, its contract {inputs}. Package it again.")
    return envelope


def _width(contract: Contract, package: Package) -> int:
    """A member may read the primary's leading inputs only (a simpler model without detectors): it gets just those."""
    names = [field.name for field in package.contract.inputs]
    if package.contract.kind != contract.kind or names != [field.name for field in contract.inputs][: len(names)]:
        raise ArtifactRefused("contract", f"{package.model} reads other inputs than the release's primary. Compose the release of members trained together.")
    return len(names)
