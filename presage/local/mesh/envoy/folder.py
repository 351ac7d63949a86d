"""An Envoy's folder: its documents written whole or not at all, and read back."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from presage.files import read_json, write_bytes
from presage.local.mesh.envoy.documents import BOOTSTRAP, CLUSTERS, KINDS, LISTENERS, Config, EnvoyFiles


def write(folder: Path, files: EnvoyFiles) -> None:
    """Everything, for an Envoy that does not run yet; documents of an earlier one go."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    documents = dict(files.discovery())
    write_documents(folder, {BOOTSTRAP: files.bootstrap, **documents})
    remove_others(folder, documents)


def write_documents(folder: Path, documents: Mapping[str, Config]) -> None:
    """Each is written aside, then renamed: an Envoy reads a document anew when one is moved to its name."""
    for path, document in documents.items():
        write_bytes(folder / path, orjson.dumps(document, option=orjson.OPT_INDENT_2))


def remove_others(folder: Path, wanted: Iterable[str]) -> None:
    """Remove the documents of resources that are not `wanted`."""
    names = set(wanted)
    for kind in KINDS:
        for path in (folder / kind).glob("*.json"):
            if f"{kind}/{path.name}" not in names:
                path.unlink()


def read(folder: Path) -> EnvoyFiles | None:
    """What lies in the folder, None where there is nothing, or nothing whole."""
    with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
        kinds: dict[str, dict[str, Config]] = {kind: {} for kind in KINDS}
        for kind, found in kinds.items():
            for path in sorted((folder / kind).glob("*.json")):
                [resource] = _resources(read_json(path))
                found[resource.get("name") or resource["cluster_name"]] = resource
        listeners, clusters = _resources(read_json(folder / LISTENERS)), _resources(read_json(folder / CLUSTERS))
        return EnvoyFiles(read_json(folder / BOOTSTRAP), tuple(listeners), tuple(clusters), **kinds)
    return None


def _resources(document: Any) -> list[Config]:
    return [{key: value for key, value in resource.items() if key != "@type"} for resource in document["resources"]]
