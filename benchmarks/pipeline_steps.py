"""The pipeline's own steps over folders, one after the other in this process, for benchmarks that vary what lies between them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.detect.detection import detect
from components.evaluate.evaluation import evaluate
from components.featurize.features import featurize
from components.ingest.telemetry import ingest
from components.label.labels import label
from components.split.folds import split
from components.train.training import train
from components.validate.telemetry import validate
from presage.features.declaration import load_view
from presage.files import read_json
from presage.governance.model_policy import load_model_policy

ROOT = Path(__file__).parents[1]
VIEW = load_view(ROOT / "feature_store" / "views" / "server_windows.yaml")
POLICY = load_model_policy(ROOT / "policies" / "models" / "incident.yaml")
FAMILIES = ("logistic_regression", "random_forest", "lightgbm")


@dataclass(frozen=True)
class Run:
    """Folders of one run below `root`; what does not depend on the folds is shared by runs with the same `shared`."""

    root: Path
    shared: Path

    @property
    def features(self) -> Path:
        return self.shared / "features"

    @property
    def labels(self) -> Path:
        return self.shared / "labels"

    @property
    def folds(self) -> Path:
        return self.root / "folds"

    @property
    def detectors(self) -> Path:
        return self.root / "detectors"

    @property
    def evaluation(self) -> Path:
        return self.root / "evaluation"


def prepare(source: str, folder: Path) -> Run:
    """From the source to labels and the split that the pipeline makes."""
    run = Run(folder / "split", folder)
    ingest(source, folder / "telemetry", folder / "quarantine")
    validate(folder / "telemetry", folder / "validated", folder / "quality", datetime.now(UTC))
    featurize(folder / "validated", VIEW, run.features)
    label(folder / "validated", run.features, POLICY, run.labels)
    split(run.labels, run.features, run.folds)
    return run


def judge(run: Run, families: tuple[str, ...] = FAMILIES, seed: int = 7) -> dict[str, object]:
    """Detectors, families and evaluation on the run's folds; the evaluation's document."""
    if not run.detectors.exists():
        detect(run.features, run.folds, run.detectors)
    for family in families:
        train(family, run.features, run.labels, run.folds, run.detectors, POLICY, run.root / "models" / family, seed=seed)
    evaluate([run.root / "models" / family for family in families], run.labels, run.folds, run.detectors, POLICY, run.evaluation, seed=seed)
    document: dict[str, object] = read_json(run.evaluation / "evaluation.json")
    return document
