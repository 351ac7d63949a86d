"""Overlays as rules see them: committed YAML read, expanded, and held against what it should have been rendered from."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from presage.errors import InputError, UsageError
from presage.manifests.expand import PASSED_ON, expand_one
from presage.manifests.expand.parts import Parts
from presage.manifests.fields import FieldError
from presage.manifests.objects import Manifest, group, parse_objects
from presage.manifests.render import applications, render, stale
from presage.manifests.verify.metrics import read_metrics
from presage.manifests.verify.schemas import Schemas
from presage.manifests.verify.subjects import Object, Overlay, Stale, Written


class Reader:
    """Reads overlays; documents that several overlays share are parsed once. A context: kustomize runs beside the reading and the rules."""

    def __init__(self, release: bool, schemas: Schemas | None) -> None:
        self._release = release
        self._schemas = schemas
        self._parsed: dict[str, list[Manifest]] = {}
        self._pool = ThreadPoolExecutor(2)

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *raised: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def overlays(self, folder: Path, names: list[str]) -> list[Overlay]:
        """The committed renderings of these overlays. folder: the repository's manifests/. Raises InputError."""
        rendered = {
            name: {application: self._pool.submit(render, folder / "overlays" / name / application) for application in applications(folder, name)}
            for name in names
        }  # fmt: skip
        found = [self._committed(folder, name) for name in names]
        listed = folder / "metrics.yaml"
        metrics = read_metrics(listed) if listed.is_file() else None
        for overlay in found:
            overlay.metrics = metrics
            overlay.find_stale = partial(_stale, folder, overlay.name, rendered[overlay.name])
        return found

    def files(self, paths: Iterable[Path]) -> Overlay:
        """All YAML files of `paths` (folders: below them, kustomizations left out) as one overlay without a name. Raises InputError, UsageError."""
        read = []
        for path in paths:
            if not path.exists():
                raise UsageError(f"{path}: no such file or folder. Name YAML files, or folders that hold them.")
            below = sorted(found for ending in ("*.yaml", "*.yml") for found in path.rglob(ending)) if path.is_dir() else [path]
            for file in below:
                if path.is_dir() and file.name in ("kustomization.yaml", "kustomization.yml"):
                    continue
                read += [(found, str(file), file.parent.name) for found in self._parse(file.read_text(), str(file))]
        return self.overlay("", read)

    def overlay(self, name: str, read: Iterable[tuple[Manifest, str, str]]) -> Overlay:
        """An overlay of (object, place, application); custom ones are expanded."""
        overlay = Overlay(name, self._release, schemas=self._schemas)
        overlay.written = [Written(overlay, manifest, place, application) for manifest, place, application in read]
        parts = Parts([found.manifest for found in overlay.written])
        for written in overlay.written:
            try:
                results = expand_one(written.manifest, parts)
            except FieldError as error:
                overlay.failures.append((written, error))
                continue
            except (AttributeError, KeyError, TypeError) as error:
                # of another shape than any schema allows: that is for the schema's finding to say in full
                problem = f"has not the shape of its kind ({type(error).__name__}: {error}). Mend what the schema says of it."
                overlay.failures.append((written, FieldError(written.label, "spec", problem)))
                continue
            made = group(written.manifest) not in PASSED_ON
            overlay.objects += [Object(overlay, result, written.place, written.application, made) for result in results]
        return overlay

    def _committed(self, folder: Path, name: str) -> Overlay:
        read = []
        for file in sorted((folder / "rendered" / name).glob("*/manifest.yaml")):
            place = str(file.relative_to(folder.parent))
            read += [(found, name, file.parent.name) for found in self._parse(file.read_text(), place)]
        return self.overlay(name, read)

    def _parse(self, text: str, place: str) -> list[Manifest]:
        """As parse_objects, but a document that was met before is not parsed again: overlays share most of theirs. Nobody changes what is read."""
        found: list[Manifest] = []
        for document in f"\n{text}".split("\n---\n"):
            if document not in self._parsed:
                try:
                    self._parsed[document] = parse_objects(document, place)
                except InputError:
                    return parse_objects(text, place)  # says which document of the file it is
            found += self._parsed[document]
        return found


def _stale(folder: Path, name: str, rendered: Mapping[str, "Future[bytes]"]) -> list[Stale]:
    fresh = {application: one.result() for application, one in rendered.items()}
    return [Stale(name, str(path.relative_to(folder.parent))) for path in stale(folder, name, fresh)]
