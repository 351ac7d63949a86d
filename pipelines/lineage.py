"""A run as OpenLineage events, one a line in `runs/<run id>/lineage.ndjson`: what each step read and wrote, by name and by digest of its content.

    lineage = Lineage(folder / "lineage.ndjson", run_id, "incident-training", arguments, cache)
    lineage.begin()                      START of the run
    lineage.take(event)                  of pipelines.events: START, COMPLETE or FAIL of a step
    lineage.end()                        COMPLETE of the run; fail(sentence), abort()

A step's job is `<pipeline>.<step>`, its parent the run. Which commit it ran is the job's sourceCodeLocation; the digests of code and lock, and MLflow's
run, are tags. A line is written when something happens: what a kill leaves has begun and not ended, which is what was so.

The spec's own classes are used (openlineage-python); nothing is sent anywhere.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from components.package.lineage import folder_digest, lock_digest
from pipelines.digests import ROOMS, ROOT
from pipelines.wiring import Wired, wiring
from presage.errors import PresageError, StateError
from presage.files import read_json
from presage.lineage.history import History
from presage.lineage.runs import CHANGED, EVENTS

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunState
    from openlineage.client.facet_v2 import JobFacet, RunFacet

__all__ = ["EVENTS", "Lineage", "run_uuid"]

NAMESPACE = "presage"
PRODUCER = "https://presage.io/pipelines"


def run_uuid(run_id: str, step: str = "") -> UUID:
    """OpenLineage names a run by a UUID. step: `train.2` is the second of a run's steps of that name; empty: the run itself."""
    return uuid5(NAMESPACE_URL, f"{PRODUCER}/{run_id}/{step}".rstrip("/"))


class Lineage:
    """cache: the orchestrator's, where a step that was answered from it left where its outputs lie. Raises StateError where the file cannot be written."""

    def __init__(self, path: Path, run_id: str, pipeline: str, arguments: Mapping[str, Any], cache: Path) -> None:
        self._path, self._run_id, self._pipeline, self._arguments, self._cache = path, run_id, pipeline, arguments, cache
        self._wired = wiring(pipeline)
        self._produced: dict[tuple[str, str], list[Path]] = {}
        self._digests: dict[Path, str] = {}
        self._numbers: dict[str, int] = {}
        self._running: dict[int, _Step] = {}
        self._ended: dict[int, _Step] = {}
        self._registry: dict[str, str] = {}

    def begin(self) -> None:
        """START of the run."""
        self._write("START", "", [*self._given()], [])

    def take(self, event: dict[str, Any]) -> None:
        """An event of pipelines.events."""
        kind, thread, at = event["event"], event.get("thread", 0), event.get("time")
        if kind == "started":
            self._running[thread] = step = self._step(event["task"])
            self._write("START", step.name, self._inputs(step.task), [], at=at)
        elif kind == "cached":
            step = self._step(event["task"])
            places = self._cached(event.get("key", ""))
            self._write("START", step.name, self._inputs(step.task), [], at=at, tags={"cached": "true"})
            self._write("COMPLETE", step.name, self._inputs(step.task), self._outputs(step, places), at=at, tags={"cached": "true"})
        elif kind == "ended":
            step = self._running.pop(thread) if thread in self._running else self._step(event["task"])
            if event["succeeded"]:
                self._flush(thread)
                self._ended[thread] = step.at(at)  # its outputs follow
            else:
                self._write("FAIL", step.name, self._inputs(step.task), [], at=at)
        elif kind == "produced" and thread in self._ended:
            self._flush(thread, [Path(place) for place in event["places"]])

    def end(self) -> None:
        """COMPLETE of the run, with MLflow's run in its tags."""
        self._close()
        self._write("COMPLETE", "", [*self._given()], [], tags=self._registry)

    def fail(self, sentence: str) -> None:
        """FAIL of the run; what still ran is aborted."""
        self._close()
        self._write("FAIL", "", [*self._given()], [], sentence=sentence)

    def abort(self) -> None:
        """Somebody stopped it."""
        self._close()
        self._write("ABORT", "", [*self._given()], [])

    def _close(self) -> None:
        for thread in list(self._ended):
            self._flush(thread)
        for step in self._running.values():
            self._write("ABORT", step.name, self._inputs(step.task), [])
        self._running.clear()

    def _flush(self, thread: int, places: list[Path] | None = None) -> None:
        step = self._ended.pop(thread, None)
        if step is not None:
            self._write("COMPLETE", step.name, self._inputs(step.task), self._outputs(step, places or []), at=step.ended)

    def _step(self, task: str) -> "_Step":
        number = self._numbers[task] = self._numbers.get(task, 0) + 1
        return _Step(task, task if number == 1 else f"{task}.{number}")

    def _given(self) -> "Iterator[InputDataset]":
        """What the run was given from outside."""
        for name in ("source", "rows", "release"):
            if value := self._arguments.get(name):
                yield _input(name, str(value), self._arguments.get(f"{name}_digest") or _pinned(str(value)))

    def _inputs(self, task: str) -> "list[InputDataset]":
        found = [_input(NAMESPACE, self._name(wired.task, wired.output, place), self._digest(place)) for wired, place in self._read_by(task)]
        return found or [*self._given()]

    def _read_by(self, task: str) -> Iterator[tuple[Wired, Path]]:
        for wired in self._wired.get(task, ()):
            for place in self._produced.get((wired.task, wired.output), ()):
                yield wired, place

    def _outputs(self, step: "_Step", places: list[Path]) -> "list[OutputDataset]":
        found = []
        for place in places:
            self._produced.setdefault((step.task, place.name), []).append(place)
            found.append(_output(NAMESPACE, self._name(step.task, place.name, place), self._digest(place)))
            if step.task == "package":
                found.extend(self._released(place / "result.json"))
        return found

    def _released(self, result: Path) -> "Iterator[OutputDataset]":
        """Releases and packages: their digests are those by which everything else knows them."""
        if not result.is_file():
            return
        packaged = read_json(result)
        registry = packaged.get("registry", {})
        self._registry = {"mlflow.run": str(registry.get("run_id", "")), "mlflow.store": str(registry.get("tracking_uri", ""))} if registry else {}
        for model in packaged.get("models", []):
            yield _output(NAMESPACE, f"release/{model['name']}", model["digest"])
            for member in model["members"]:
                yield _output(NAMESPACE, f"package/{member['model']}", member["package"])

    def _name(self, task: str, output: str, place: Path) -> str:
        """`incident-training/train/model/lightgbm`: a step that runs once a family says which."""
        about = place / "training.json"
        family = f"/{read_json(about)['family']}" if about.is_file() else ""
        return f"{self._pipeline}/{task}/{output}{family}"

    def _digest(self, place: Path) -> str | None:
        """Of a folder's content, read once: what a step wrote is not changed after it."""
        if place not in self._digests and place.is_dir():
            self._digests[place] = folder_digest(place)
        return self._digests.get(place)

    def _cached(self, key: str) -> list[Path]:
        """Where the outputs lie that the cache answered with. key: the beginning of its file's name."""
        found = sorted(self._cache.glob(f"{key}*.json")) if key else []
        if len(found) != 1:
            return []
        with suppress(ValueError, OSError):
            outputs = orjson.loads(found[0].read_bytes())
            return [Path(one["uri"]) for one in outputs.values() if isinstance(one, dict) and "uri" in one]
        return []

    def _write(
        self, kind: str, step: str, inputs: "list[InputDataset]", outputs: "list[OutputDataset]", *, at: float | None = None,
        tags: Mapping[str, str] | None = None, sentence: str = "",
    ) -> None:  # fmt: skip
        from openlineage.client.event_v2 import Run, RunEvent
        from openlineage.client.serde import Serde

        moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        event = RunEvent(
            eventTime=moment.isoformat(timespec="milliseconds"), producer=PRODUCER, eventType=_state(kind), inputs=inputs, outputs=outputs,
            run=Run(str(run_uuid(self._run_id, step)), self._run_facets(step, tags or {}, sentence)), job=self._job(step),
        )  # fmt: skip
        try:
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as handle:
                handle.write(Serde.to_json(event) + "\n")
        except OSError as error:
            raise StateError(f"{self._path}: the run's events cannot be written ({error.strerror}). Make room there, and run again.") from None

    def _run_facets(self, step: str, tags: Mapping[str, str], sentence: str) -> "dict[str, RunFacet]":
        from openlineage.client.facet_v2 import error_message_run, parent_run, tags_run

        facets: dict[str, RunFacet] = {}
        if step:
            parent = parent_run.Run(str(run_uuid(self._run_id))), parent_run.Job(NAMESPACE, self._pipeline)
            facets["parent"] = parent_run.ParentRunFacet(*parent, producer=PRODUCER)
        known = {"run": self._run_id, "code": str(self._arguments.get("code_digest", "")), "lock": lock_digest(), **_code().tags, **tags}
        facets["tags"] = tags_run.TagsRunFacet([tags_run.TagsRunFacetFields(key, value, "presage") for key, value in known.items()], producer=PRODUCER)
        if sentence:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(sentence, "python", producer=PRODUCER)
        return facets

    def _job(self, step: str) -> "Job":
        from openlineage.client.event_v2 import Job
        from openlineage.client.facet_v2 import job_type_job

        kind = job_type_job.JobTypeJobFacet("BATCH", "PRESAGE", "TASK" if step else "PIPELINE", producer=PRODUCER)
        facets: dict[str, JobFacet] = {"jobType": kind, **_code().facets(step)}
        return Job(NAMESPACE, f"{self._pipeline}.{step.partition('.')[0]}" if step else self._pipeline, facets)


class _Step:
    """One of a run's steps. name: with its number, where a task runs more than once; ended: Unix seconds."""

    def __init__(self, task: str, name: str, ended: float | None = None) -> None:
        self.task, self.name, self.ended = task, name, ended

    def at(self, ended: float | None) -> "_Step":
        return _Step(self.task, self.name, ended)


class _Code:
    """The checkout that runs. commit: None where this is none, such as in an image."""

    def __init__(self, commit: str | None, changed: bool, url: str) -> None:
        self.commit, self._changed, self._url = commit, changed, url

    @property
    def tags(self) -> dict[str, str]:
        return {} if self.commit is None else {CHANGED: str(self._changed).lower()}

    def facets(self, step: str) -> "dict[str, JobFacet]":
        from openlineage.client.facet_v2 import source_code_location_job

        if self.commit is None:
            return {}
        path = f"components/{step.partition('.')[0]}" if step else "pipelines"
        location = source_code_location_job.SourceCodeLocationJobFacet("git", self._url, path=path, version=self.commit, producer=PRODUCER)
        return {"sourceCodeLocation": location}


@cache
def _code() -> _Code:
    history = History(ROOT, "HEAD")
    try:
        commit, changed, url = history.commit_of("HEAD"), history.changed(*ROOMS, "pipelines", "requirements.lock"), history.origin()
    except PresageError:
        return _Code(None, False, "")
    parts = urlsplit(url)
    clean = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))  # a token in it is nobody's business
    return _Code(commit, changed, clean or ROOT.as_uri())


def _pinned(value: str) -> str | None:
    """The digest that a release's URI names."""
    _, at, digest = value.rpartition("@")
    return digest if at and value.startswith("presage://") else None


def _version(digest: str | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(digest, producer=PRODUCER)} if digest else {}


def _input(namespace: str, name: str, digest: str | None) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(namespace, name, facets=_version(digest))


def _output(namespace: str, name: str, digest: str | None) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset

    return OutputDataset(namespace, name, facets=_version(digest))


def _state(kind: str) -> "RunState":
    from openlineage.client.event_v2 import RunState

    return RunState[kind]
