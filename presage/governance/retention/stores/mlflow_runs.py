"""Runs in the registry (MLflow over SQLite, in the state directory): the run, the model versions that were made from it, and its documents.

MLflow marks a run as deleted and keeps it. What `mlflow gc` does to such a run is done here, run by run, since that command cannot be told where it was
killed.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from presage.files import canonical_json, sha256_bytes
from presage.governance.retention.items import Item, Prepared, StoreName
from presage.governance.retention.stores.places import folder_bytes, remove_folder
from presage.governance.retention.terms import Terms
from presage.package.locks import locked

_PAGE = 200


@dataclass(frozen=True)
class MlflowRuns:
    """folder: `mlflow` of a state. used: digest of a release → why its evidence is needed."""

    folder: Path
    terms: Terms
    used: Mapping[str, str]
    name: StoreName = "mlflow-runs"

    def items(self) -> Iterator[Item]:
        """The newest first; a page at a time in memory."""
        if not (self.folder / "mlflow.db").is_file():
            return
        from mlflow.entities import ViewType

        for experiment in self._client.search_experiments(view_type=ViewType.ALL):
            seen: dict[str, int] = {}
            token: str | None = None
            while True:
                page = self._client.search_runs(
                    [experiment.experiment_id], run_view_type=ViewType.ALL, max_results=_PAGE, order_by=["attributes.start_time DESC"], page_token=token
                )
                for run in page:
                    model = run.data.params.get("policy", "")
                    seen[model] = seen.get(model, 0) + 1
                    yield self._item(run, model, seen[model])
                token = page.token
                if not token:
                    break

    def prepare(self, item: Item) -> Prepared | None:
        run = self._run(item.id)
        return None if run is None else Prepared(_digest(run))

    def whole(self, id: str, prepared: Prepared) -> bool:
        run = self._run(id)
        return run is not None and run.info.lifecycle_stage == "active" and _digest(run) == prepared.content

    def remove(self, id: str, prepared: Prepared) -> bool:
        """Marked first, so that nobody takes it for whole; the row goes last, so that a kill leaves something to find."""
        with locked(self.folder):
            run = self._run(id)
            if run is None:
                return True
            if run.info.lifecycle_stage == "active":
                self._client.delete_run(id)
            for version in self._versions(id):
                self._client.delete_model_version(version.name, version.version)
            if (documents := _local(run.info.artifact_uri)) is not None:
                remove_folder(documents)
                if documents.parent.is_dir() and not any(documents.parent.iterdir()):
                    documents.parent.rmdir()
            self._store._hard_delete_run(id)  # what `mlflow gc` calls: MLflow has no public way to it
        return True

    def _item(self, run: Any, model: str, last: int) -> Item:
        tags = [version.tags for version in self._versions(run.info.run_id)]
        used = next((why for tag in tags if (why := self.used.get(tag.get("presage.digest", "")))), "")
        releases = {tag.get("presage.release", "").removeprefix("presage://") for tag in tags}
        documents = _local(run.info.artifact_uri)
        return Item(
            self.name, run.info.run_id, _moment(run.info.end_time or run.info.start_time), _moment(run.info.start_time), model=model,
            release=releases.pop() if len(releases) == 1 else "",  # of several none is named: a hold on any of them fits
            tier=self.terms.tier(model), region=self.terms.region(model), in_use=used, last=last,
            bytes=folder_bytes(documents) if documents is not None and documents.is_dir() else 0,
        )  # fmt: skip

    def _run(self, id: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_run(id)
        except MlflowException:
            return None

    def _versions(self, id: str) -> list[Any]:
        return list(self._client.search_model_versions(f"run_id = '{id}'"))

    @cached_property
    def _client(self) -> Any:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    @cached_property
    def _store(self) -> Any:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        return SqlAlchemyStore(self._uri, (self.folder / "artifacts").as_uri())

    @property
    def _uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"


def _digest(run: Any) -> str:
    told = {"run": run.info.run_id, "started": run.info.start_time, "parameters": run.data.params, "metrics": run.data.metrics}
    return f"sha256:{sha256_bytes(canonical_json(told))}"


def _moment(milliseconds: int | None) -> datetime:
    return datetime.fromtimestamp((milliseconds or 0) / 1000, UTC)


def _local(uri: str) -> Path | None:
    """The folder of `file:///…` or of a plain path; None where it lies elsewhere."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None
