"""Kubernetes objects as plain mappings: reading them from YAML, naming them in sentences."""

from typing import Any

import yaml

from presage.errors import InputError

Manifest = dict[str, Any]


class _WithoutAliases(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_objects(text: str | bytes, place: str) -> list[Manifest]:
    """The objects of one YAML stream, in order; empty documents are left out.

    Raises InputError naming `place` where the text is no YAML or a document is no object with apiVersion, kind and metadata.name.
    """
    try:
        documents = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise InputError(f"{place}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None
    objects: list[Manifest] = []
    for position, document in enumerate(document for document in documents if document is not None):
        if not isinstance(document, dict) or not all(isinstance(document.get(key), str) for key in ("apiVersion", "kind")):
            raise InputError(f"{place}: document {position + 1} has no apiVersion and kind. Only Kubernetes objects belong here.")
        metadata = document.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise InputError(f"{place}: document {position + 1} ({document['kind']}) has no metadata.name. Name it.")
        objects.append(document)
    return objects


def label(manifest: Manifest) -> str:
    """`Deployment presage/telemetry`: kind, namespace and name, for sentences."""
    metadata = manifest["metadata"]
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{manifest['kind']} {namespace}{metadata['name']}"


def group(manifest: Manifest) -> str:
    """The API group: `apps` of `apps/v1`, empty for core kinds."""
    api_version: str = manifest["apiVersion"]
    return api_version.partition("/")[0] if "/" in api_version else ""


def dump_objects(objects: list[Manifest]) -> str:
    """One YAML stream, keys sorted as kustomize sorts them; what two places share is written out in both."""
    return yaml.dump_all(objects, Dumper=_WithoutAliases, sort_keys=True, default_flow_style=False, allow_unicode=True, width=10_000)
