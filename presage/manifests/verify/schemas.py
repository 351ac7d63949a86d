"""JSON Schemas of every kind: Kubernetes' own from the package kubernetes-validate, custom kinds from a folder.

The folder has the layout of kubeconform's catalogue, `<group>/<kind>_<version>.json`. Unknown fields fail in both. A compiled schema is
kept for the process.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from presage.errors import UsageError
from presage.manifests.objects import Manifest, group

VERSION = "v1.35.0"  # the oldest that is supported: a field that only newer servers know fails here
_MOST = 20  # flaws of one object; more say nothing more
_LONGEST = 300


@dataclass
class Schemas:
    """folder: of custom kinds; None where they are not checked."""

    folder: Path | None
    _compiled: dict[str, Any] = field(default_factory=dict)
    _registry: Any = None

    def __post_init__(self) -> None:
        if self.folder is not None and not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no folder of schemas. Name one with --schemas or PRESAGE_SCHEMAS (<group>/<kind>_<version>.json in it).")

    def knows(self, manifest: Manifest) -> bool:
        """Whether there is a schema for the object's kind and version."""
        return self._file(manifest).is_file()

    def custom(self, manifest: Manifest) -> bool:
        """Whether its kind is not Kubernetes' own."""
        return is_custom(manifest)

    def errors(self, manifest: Manifest) -> Iterator[tuple[str, str]]:
        """(path, what is wrong) of every breach, the first twenty."""
        for found, error in enumerate(self._validator(manifest).iter_errors(manifest)):
            if found == _MOST:
                return
            yield _path(error.instance_path), error.message[:_LONGEST]

    def _file(self, manifest: Manifest) -> Path:
        if is_custom(manifest):
            version = manifest["apiVersion"].partition("/")[2]
            return (self.folder or Path()) / group(manifest) / f"{manifest['kind'].lower()}_{version}.json"
        name = "-".join([manifest["kind"].lower(), *(part.split(".")[0] for part in manifest["apiVersion"].split("/"))])
        return _built_in() / f"{name}.json"

    def _validator(self, manifest: Manifest) -> Any:
        import jsonschema_rs

        path = self._file(manifest)
        key = str(path)
        if key not in self._compiled:
            schema = orjson.loads(path.read_bytes())
            if is_custom(manifest):
                self._compiled[key] = jsonschema_rs.validator_for(schema)
            else:
                if self._registry is None:
                    definitions = orjson.loads((_built_in() / "_definitions.json").read_bytes())
                    self._registry = jsonschema_rs.Registry([("https://kubernetes.io/api/_definitions.json", definitions)])
                self._compiled[key] = jsonschema_rs.validator_for(schema | {"$id": f"https://kubernetes.io/api/{path.name}"}, registry=self._registry)
        return self._compiled[key]


def is_custom(manifest: Manifest) -> bool:
    """Whether the object's group is defined by a CRD. Kubernetes' own groups have no dot, or end in .k8s.io and come with the server."""
    found = group(manifest)
    return "." in found and (not found.endswith(".k8s.io") or found in ("gateway.networking.k8s.io", "kueue.x-k8s.io"))


def _built_in() -> Path:
    # the package itself is not imported: that costs more than all the checks
    spec = find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise UsageError("the package kubernetes-validate is missing. `make install` puts it there.")
    return Path(spec.origin).parent / "kubernetes-json-schema" / f"{VERSION}-local-strict"


def _path(steps: list[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
