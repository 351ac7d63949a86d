"""What is in an image, as CycloneDX JSON: Debian's packages by debsbom, Python's by cyclonedx-py, one document.

    write_sbom(podman, "localhost/presage/serving:0.1.0", tools, path)

Both tools read the image's own files, mounted. What they cannot see is said in docs/images.md.
"""

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images import ImageError
from images.podman import Podman
from presage.files import write_bytes

_SPECIFICATION = "1.6"
_EPOCH = "1970-01-01T00:00:00+00:00"
# where a Dockerfile puts Python packages, seen from the image's root
_PYTHON = ("opt/presage/venv/lib/python3*/site-packages", "opt/presage/code")
_CHECK = (
    "import sys; from cyclonedx.schema import SchemaVersion; from cyclonedx.validation.json import JsonStrictValidator; "
    f"error = JsonStrictValidator(SchemaVersion.V{_SPECIFICATION.replace('.', '_')}).validate_str(sys.stdin.read()); sys.exit(str(error) if error else 0)"
)


def write_sbom(podman: Podman, image: str, tools: Path, path: Path) -> dict[str, Any]:
    """Write and return the document for `image`. tools: the environment that images/sbom.lock describes.

    The same image gives the same document. Raises ImageError where a tool fails or the document breaks CycloneDX's schema.
    """
    known = podman.image(image)
    labels = known["Labels"] or {}
    with _mounted(podman, image) as root, tempfile.TemporaryDirectory() as folder:
        parts = [_debian(root, tools, Path(folder)), _python(root, tools, Path(folder))]
    document = merged(labels["org.opencontainers.image.title"], labels.get("org.opencontainers.image.version", ""), known["Id"], parts)
    content = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode()
    _run(tools / "bin" / "python", "-c", _CHECK, given=content)
    write_bytes(path, content)
    path.chmod(0o644)
    return document


def merged(name: str, version: str, identity: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One CycloneDX document of the container image `name` from the tools' documents. identity: digest of the image's configuration, bare hex."""
    components = [component for part in parts for component in part.get("components", [])]
    roots = {part["metadata"]["component"]["bom-ref"] for part in parts if "component" in part["metadata"]}
    dependencies = [one for part in parts for one in part.get("dependencies", []) if one["ref"] not in roots | {"root-component"}]
    tools = [tool for part in parts for tool in part["metadata"].get("tools", {}).get("components", [])]
    image = {"bom-ref": name, "type": "container", "name": name, "version": version, "hashes": [{"alg": "SHA-256", "content": identity}]}
    everything = {"ref": name, "dependsOn": sorted(component["bom-ref"] for component in components)}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{_SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": _SPECIFICATION,
        "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, identity)}",
        "metadata": {"component": image, "tools": {"components": sorted(tools, key=lambda tool: str(tool["name"]))}},
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
        "dependencies": [everything, *sorted(dependencies, key=lambda one: str(one["ref"]))],
    }


def _debian(root: Path, tools: Path, folder: Path) -> dict[str, Any]:
    out = folder / "debian"
    _run(
        tools / "bin" / "debsbom", "generate", "--sbom-type=cdx", f"--root={root}", f"--cdx-schema-version={_SPECIFICATION}", f"--timestamp={_EPOCH}",
        f"--cdx-serialnumber={uuid.UUID(int=0, version=4)}", f"--out={out}",
    )  # fmt: skip
    return _read(out.with_name("debian.cdx.json"))


def _python(root: Path, tools: Path, folder: Path) -> dict[str, Any]:
    """cyclonedx-py asks an interpreter for its path: an empty environment of ours answers with the image's folders."""
    environment, out = folder / "environment", folder / "python.json"
    _run(Path(sys.executable), "-m", "venv", "--without-pip", str(environment))
    places = [place for pattern in _PYTHON for place in root.glob(pattern)]
    if not places:
        raise ImageError(f"{root} holds no {_PYTHON[0]}: this image was not made by our Dockerfiles.")
    [site] = environment.glob("lib/python3*/site-packages")
    (site / "image.pth").write_text("".join(f"{place}\n" for place in places))
    _run(
        tools / "bin" / "cyclonedx-py", "environment", "--no-validate", "--output-reproducible", f"--sv={_SPECIFICATION}", f"--output-file={out}",
        str(environment),
    )  # fmt: skip
    return _read(out)


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def _run(program: Path, *words: str, given: bytes | None = None) -> None:
    if not program.exists():
        raise ImageError(f"{program} is not installed. `make images` puts it there.")
    done = subprocess.run([str(program), *words], input=given, capture_output=True, check=False, timeout=300)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-3:]
        raise ImageError(f"{program.name} cannot describe the image: {' · '.join(said)}")


@contextmanager
def _mounted(podman: Podman, image: str) -> Iterator[Path]:
    root = Path(podman("image", "mount", image).strip())
    try:
        yield root
    finally:
        podman("image", "umount", image)
