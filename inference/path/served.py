"""A verified release made ready to answer: sessions, steps, trees and detectors, all from the bytes that were checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

from inference.path.ladder import ModelRung, RuleRung, rule_rungs
from inference.path.model import load_model
from inference.path.reasons import When
from inference.path.request import F32
from presage.errors import ArtifactRefused
from presage.features.detectors import Detectors
from presage.package.calibration import VennAbers
from presage.package.contract import Contract
from presage.package.release import Package, Release, Role
from presage.package.trees import TreeArrays
from presage.package.treeshap import TreeExplainer


@dataclass(frozen=True)
class ServedRelease:
    """models, calibrations and explainers go together, in the order of the ladder; default: the risk when nothing else
    answers; thresholds: lowest risk of each tier; explanation, region, journal: as the model's policy says."""

    name: str
    version: str
    digest: str
    family: str
    contract: Contract
    models: list[ModelRung]
    calibrations: list[VennAbers]
    explainers: list[TreeExplainer | None]
    detectors: Detectors | None
    rules: list[RuleRung]
    default: float
    thresholds: dict[str, float]
    explanation: When
    region: str
    journal: Literal["process", "disk", "replicated"]

    @property
    def input_names(self) -> list[str]:
        return [field.name for field in self.contract.inputs]


def ready_release(release: Release) -> ServedRelease:
    """Load every member that the ladder names. Raises ArtifactRefused where a file does not fit its contract."""
    document, contract = release.document, release.primary.contract
    roles = [cast(Role, rung) for rung in document.ladder if rung not in ("rules", "default")]
    packages = [release.packages[role] for role in roles]
    policy = document.policy
    if policy["journal"] != "process":
        message = f"The policy of {release.name} asks for journal level {policy['journal']!r}; this server keeps level 'process'."
        raise ArtifactRefused("contract", f"{message} Serve it elsewhere, or have the policy changed.")
    detectors = release.primary.files.get("detectors.safetensors")
    return ServedRelease(
        name=release.name,
        version=str(release.version),
        digest=release.digest,
        family=release.primary.member.family,
        contract=contract,
        models=[ModelRung(role, _columns(load_model(package.onnx), contract, package)) for role, package in zip(roles, packages, strict=True)],
        calibrations=[package.calibration() for package in packages],
        explainers=[_explainer(package) for package in packages],
        detectors=None if detectors is None else Detectors.load(detectors),
        rules=rule_rungs(document.rules, contract.view.names) if "rules" in document.ladder else [],
        default=document.default,
        thresholds=dict(document.thresholds),
        explanation=policy["explanation"],
        region=policy["region"],
        journal=policy["journal"],
    )


def _explainer(package: Package) -> TreeExplainer | None:
    content = package.files.get("trees.safetensors")
    if content is None:
        return None
    trees = TreeArrays.load(content)
    if trees.features > len(package.contract.inputs):
        inputs = len(package.contract.inputs)
        raise ArtifactRefused("contract", f"trees.safetensors of {package.model} has {trees.features} inputs, its contract {inputs}. Package it again.")
    return TreeExplainer(trees)


def _columns(score: Callable[[F32], list[float]], contract: Contract, package: Package) -> Callable[[F32], list[float]]:
    """A member may read the primary's leading inputs only (a simpler model without detectors): it gets just those."""
    names = [field.name for field in package.contract.inputs]
    if package.contract.kind != contract.kind or names != [field.name for field in contract.inputs][: len(names)]:
        raise ArtifactRefused("contract", f"{package.model} reads other inputs than the release's primary. Compose the release of members trained together.")
    width = len(names)
    return score if width == len(contract.inputs) else lambda x: score(x[..., :width])
