"""Trained and evaluated models become two releases: the best feature-row family with its simpler member, and the convolution.

    incident            primary = the winner, simpler = logistic regression (unless it won)
    incident-sequence   primary = the convolution

Everything is read from the steps' folders, checked, signed with the state's own key, stored in its releases and registered.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from components.package.card import model_card
from components.package.contracts import feature_row_contract, sequence_contract
from components.package.lineage import RunIdentity, folder_digest, lineage
from components.package.metrics import best_feature_row, family_metrics, family_of
from components.package.registry import register
from presage.contracts.reading import previous_contract
from presage.contracts.settling import versioned
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.features.detectors import Detectors
from presage.files import read_json, write_json, written_aside
from presage.governance.model_policy import ModelPolicy
from presage.package.calibration import VennAbers
from presage.package.contract import Contract
from presage.package.keys import SigningKey, Trust, local_key
from presage.package.onnx_check import OnnxSummary, check_onnx
from presage.package.package import PackageParts, build_package
from presage.package.release import compose, member_id
from presage.package.store import Published, ReleaseStore, StoredPackage
from presage.state import State
from presage.telemetry.schema import Telemetry

SIMPLER = "logistic_regression"


@dataclass(frozen=True)
class Steps:
    """The folders of the steps before (docs/architecture.md). models: one a family."""

    models: list[Path]
    validated: Path
    features: Path
    labels: Path
    folds: Path
    detectors: Path
    evaluation: Path


def _ensemble_model(name: str, family: str) -> str:
    return f"{name}-{family.replace('_', '-')}"


def package(steps: Steps, policy: ModelPolicy, run: RunIdentity, state: State, packaged: Path) -> None:
    """Build, sign, store and register; writes `packaged/result.json`. The same folders and run, after the same last release, give the same digests.

    Raises InputError where a step's output is missing or does not fit, ArtifactRefused where a model would not pass the gate.
    """
    facts = _Facts.read(steps, policy, run)
    trained = {read_json(folder / "training.json")["family"]: folder for folder in steps.models}
    key = local_key(state.keys)
    bench = _Bench(facts, trained, key, Trust.of([key.public]), ReleaseStore(state.releases))
    best = best_feature_row(facts.evaluation)
    families = {"primary": best} if best == SIMPLER or SIMPLER not in trained else {"primary": best, "simpler": SIMPLER}
    for family in policy.ensemble:
        if family not in families.values():
            families[member_id("ensemble", _ensemble_model(policy.name, family))] = family
    released = {policy.name: bench.release(policy.name, families)}
    for entry in facts.evaluation["families"]:
        if entry["kind"] == "sequence" and entry["name"] in trained:
            name = f"{policy.name}-sequence"
            released[name] = bench.release(name, {"primary": entry["name"]})
            break
    registered = register(
        state.mlflow,
        run.run_id,
        {"source": facts.source, "seed": str(run.seed), "policy": policy.name, "winner": facts.evaluation["winner"], "code": run.code},
        _measures(facts.evaluation),
        released,
    )
    models = {name: published for name, (published, _) in released.items()}
    with written_aside(packaged) as aside:
        aside.mkdir(parents=True)
        write_json(aside / "result.json", {
            "run_id": run.run_id,
            "model": _named(policy.name, models[policy.name]),
            "models": [{**_named(name, published), "members": _members(published)} for name, published in models.items()],
            "registry": {"tracking_uri": registered.tracking_uri, "run_id": registered.run_id, "versions": registered.versions},
        })  # fmt: skip


@dataclass(frozen=True)
class _Facts:
    """What all packages of a run share."""

    steps: Steps
    policy: ModelPolicy
    evaluation: dict[str, Any]
    bound: BoundView
    telemetry: Telemetry
    detectors: Detectors
    seen: pl.DataFrame
    prevalence: float
    lineage: dict[str, Any]
    source: str

    @classmethod
    def read(cls, steps: Steps, policy: ModelPolicy, run: RunIdentity) -> "_Facts":
        document = read_json(steps.features / "features.json")
        document.pop("version")
        bound = BoundView.from_document(document)
        telemetry = Telemetry.load(steps.validated)
        parts = pl.read_parquet(steps.folds / "folds.parquet").select("entity", "time", "part")
        labels = pl.read_parquet(steps.labels / "labels.parquet").select("entity", "time", "label")
        train = labels.join(parts.filter(pl.col("part") == "train"), on=["entity", "time"], how="semi").get_column("label").drop_nulls()
        if train.is_empty():
            raise InputError(f"{steps.folds}: no labelled row is in the part train. Split again.")
        return cls(
            steps=steps,
            policy=policy,
            evaluation=read_json(steps.evaluation / "evaluation.json"),
            bound=bound,
            telemetry=telemetry,
            detectors=Detectors.load((steps.detectors / "detectors.safetensors").read_bytes()),
            seen=parts.filter(pl.col("part").is_in(["unsupervised", "train", "select", "calibrate"])).select("entity", "time"),
            prevalence=float(train.cast(pl.Float64).sum()) / len(train),
            lineage=lineage(run, telemetry.source, folder_digest(steps.validated), bound, policy),
            source=telemetry.source,
        )

    def table(self, path: Path) -> pl.DataFrame:
        """A step's table, without the rows that are kept for the test."""
        return pl.read_parquet(path).join(self.seen, on=["entity", "time"], how="semi")


@dataclass(frozen=True)
class _Bench:
    """Where packages are made, and with what."""

    facts: _Facts
    trained: dict[str, Path]
    key: SigningKey
    trust: Trust
    store: ReleaseStore

    def release(self, name: str, families: dict[str, str]) -> tuple[Published, dict[str, bytes]]:
        """Package each family, compose and publish; the release and the primary's documents (for the registry)."""
        stored: dict[str, StoredPackage] = {}
        documents: dict[str, bytes] = {}
        before = previous_contract(self.store, name)
        with TemporaryDirectory(dir=self.store.layout.folder) as scratch:
            for role, family in families.items():
                model = name if role == "primary" else role.removeprefix("ensemble/") if "/" in role else f"{name}-{role}"
                parts = self._parts(before, name, model, family)
                folder = Path(scratch) / parts.model
                build_package(parts, folder, self.key)
                stored[role] = self.store.add(folder, self.trust)
                if role == "primary":
                    documents = {file: (folder / file).read_bytes() for file in ("card.md", "contract.json", "metrics.json", "lineage.json")}
        policy = self.facts.policy
        if name != policy.name:  # a release of another kind of model: what the policy says of several members is not about it
            policy = policy.model_copy(update={"ensemble": {}, "router": ()})
        draft = compose(name, stored, policy, self.facts.prevalence)
        return self.store.publish(draft, stored, self.key), documents

    def _parts(self, before: Contract | None, contract_name: str, model: str, family: str) -> PackageParts:
        facts, folder = self.facts, self.trained.get(family)
        if folder is None:
            raise InputError(f"evaluation names {family}, but no trained model of that family was given. Give package every model that evaluate saw.")
        training = read_json(folder / "training.json")
        entry = family_of(facts.evaluation, family)
        onnx = (folder / "model.onnx").read_bytes()
        contract = self._contract(before, contract_name, str(entry["kind"]), training, check_onnx(onnx))
        metrics = family_metrics(facts.evaluation, family)
        origin = {**facts.lineage, "training": {"parameters": training.get("parameters", {}), "onnx_max_difference": training.get("onnx_max_difference")}}
        return PackageParts(
            model=model,
            family=family,
            onnx=onnx,
            contract=contract,
            calibration=VennAbers.load((facts.steps.evaluation / "calibration" / f"{family}.safetensors").read_bytes()),
            metrics=metrics,
            lineage=origin,
            card=model_card(model, family, contract=contract, policy=facts.policy, metrics=metrics, lineage=facts.lineage),
            trees=_optional(folder / "trees.safetensors"),
            detectors=(facts.steps.detectors / "detectors.safetensors").read_bytes() if contract.detectors else None,
            envelope=_optional(folder / "envelope.safetensors"),
        )

    def _contract(self, before: Contract | None, name: str, kind: str, training: dict[str, Any], onnx: OnnxSummary) -> Contract:
        """before: of the name's last release, whose callers go on as they are unless the policy promises another major version."""
        facts, horizon, major = self.facts, self.facts.policy.kpi.horizon, self.facts.policy.contract_major
        metrics = facts.telemetry.metrics
        promised = before.inputs if before is not None and major in (None, before.major) else []
        if kind == "sequence":
            history = onnx.inputs["x"][1] or 0  # how many ticks it takes is the graph's own word
            ticks = facts.table(facts.steps.features / "ticks.parquet")
            made = sequence_contract(name, facts.bound, metrics, ticks=ticks, history=history, horizon=horizon, before=promised)
            return versioned(made, before, major, f"policy {facts.policy.name}")
        names = facts.detectors.names
        rows = facts.table(facts.steps.features / "rows.parquet").join(
            facts.table(facts.steps.detectors / "scores.parquet").select("entity", "time", *names), on=["entity", "time"], how="left"
        )
        contract = feature_row_contract(name, facts.bound, metrics, rows=rows, detectors=names, horizon=horizon, before=promised)
        if list(training["inputs"]) != [field.name for field in contract.inputs]:
            raise InputError(f"{training['family']} was trained on other inputs than the feature rows and detectors given. Package the artifacts of one run.")
        return versioned(contract, before, major, f"policy {facts.policy.name}")


def _optional(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _measures(evaluation: dict[str, Any]) -> dict[str, float | None]:
    """Numbers of the run for the registry: `<family>.<measure>`."""
    kept = ("average_precision", "roc_auc", "brier", "median_lead_minutes", "seconds")
    return {f"{entry['name']}.{name}": entry.get(name) for entry in evaluation["families"] for name in kept}


def _named(name: str, published: Published) -> dict[str, str]:
    reference = published.reference
    return {"name": name, "version": str(reference.version), "digest": str(reference.digest), "uri": published.uri}


def _members(published: Published) -> list[dict[str, str]]:
    return [{"role": member.role, "model": member.model, "family": member.family, "package": member.package} for member in published.document.members]
