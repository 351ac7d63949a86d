"""The run and its model versions in MLflow: a local SQLite store, documents only (models stay in the release store)."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage.package.locks import locked
from presage.package.store import Published

EXPERIMENT = "incident-training"
ALIAS = "candidate"


@dataclass(frozen=True)
class Registered:
    """Where the registry keeps the run. versions: release name → MLflow's version number."""

    tracking_uri: str
    run_id: str
    versions: dict[str, str]


def register(
    folder: Path,
    run_id: str,
    parameters: Mapping[str, str],
    measures: Mapping[str, float | None],
    releases: Mapping[str, tuple[Published, Mapping[str, bytes]]],
) -> Registered:
    """Record one pipeline run and a model version a release, alias `candidate`; a run that is there already is left as it is.

    releases: name → (release, documents to keep beside the version: file name → content).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder):  # MLflow asks and then makes: two runs that end together would both make
        return _register(folder, run_id, parameters, measures, releases)


def _register(
    folder: Path,
    run_id: str,
    parameters: Mapping[str, str],
    measures: Mapping[str, float | None],
    releases: Mapping[str, tuple[Published, Mapping[str, bytes]]],
) -> Registered:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine
    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # that its tables are being made is no news
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT, artifact_location=(folder / "artifacts").as_uri())
    known = client.search_runs([experiment_id], f"tags.`presage.run_id` = '{run_id}'", max_results=1)
    run = known[0] if known else client.create_run(experiment_id, run_name=run_id, tags={"presage.run_id": run_id})
    mlflow_run = run.info.run_id
    if not known:
        now = int(time.time() * 1000)
        metrics = [Metric(name, measure, now, 0) for name, measure in measures.items() if measure is not None]
        client.log_batch(mlflow_run, metrics, [Param(name, value) for name, value in parameters.items()])  # one transaction, not twenty
    versions = {}
    for name, (published, documents) in releases.items():
        try:
            client.get_registered_model(name)
        except MlflowException:
            client.create_registered_model(name)
        tags = {"presage.release": published.uri, "presage.digest": str(published.reference.digest), "presage.run_id": run_id}
        before = [version for version in client.search_model_versions(f"name='{name}'") if version.tags.get("presage.release") == published.uri]
        if before:
            versions[name] = str(before[0].version)
            continue
        for file, content in documents.items():
            _log(client, mlflow_run, folder, f"{name}/{file}", content)
        version = client.create_model_version(name, source=f"{run.info.artifact_uri}/{name}", run_id=mlflow_run, tags=tags)
        client.set_registered_model_alias(name, ALIAS, version.version)
        versions[name] = str(version.version)
    client.set_terminated(mlflow_run)
    _private(folder)
    return Registered(uri, mlflow_run, versions)


def _log(client: Any, run_id: str, folder: Path, path: str, content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch) / Path(path).name
        file.write_bytes(content)
        client.log_artifact(run_id, str(file), str(Path(path).parent))


def _private(folder: Path) -> None:
    """MLflow makes files by the process's umask; what is kept here is its owner's alone."""
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
