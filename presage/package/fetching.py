"""Reading a release out of a store: every file within its limits, at the place it will have in a Pod, and nothing verified but digests.

Sealed files are described and not yet read: their bytes are fetched when the gate's document steps have passed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from presage.errors import ArtifactRefused
from presage.files import sha256_bytes
from presage.package import oci
from presage.package.layout import FILE_LIMIT, MIB, PACKAGE_FILES, RELEASE_FILES, SIGNATURE, TOTAL_LIMIT, FileKind, kind_of
from presage.package.oci import Descriptor, Index, Layout, Manifest, document_bytes
from presage.package.sealing import SEALED, SEALING_TYPE, Sealed, Sealing, check_sealed_size, is_sealed, plain_manifest
from presage.package.signing import SIGNATURE_FILE

MODEL = "application/vnd.cncf.model.manifest.v1+json"
FILE_PATH = "org.cncf.model.filepath"
RELEASE_TYPE = "application/vnd.presage.release.v1+json"
_MANIFEST_LIMIT = 40
_SEALING_LIMIT = 64 << 10


@dataclass(frozen=True)
class Fetched:
    """contents: path in a Pod → bytes of what is not sealed; sealed: the rest; packages: hex digest → its manifest, as if nothing were sealed."""

    contents: dict[str, bytes]
    sealed: Sealed
    packages: dict[str, Manifest]


def fetch_release(layout: Layout, index: Index, what: str) -> Fetched:
    """what: the release, for sentences. Raises ArtifactRefused("size", "format", "digest" or "encryption")."""
    if len(index.manifests) > _MANIFEST_LIMIT:
        raise ArtifactRefused("size", f"{what} names {len(index.manifests)} manifests, {_MANIFEST_LIMIT} are allowed. Release fewer models.")
    reading = _Reading(layout)
    for descriptor in index.manifests:
        if descriptor.media_type != oci.MANIFEST:
            raise ArtifactRefused("format", f"{what} names a {descriptor.media_type[:100]!r}, only image manifests are allowed. Compose it again.")
        reading.add(descriptor, layout.read_manifest(descriptor))
    return Fetched(reading.contents, Sealed(reading.sealed, reading.sealing), reading.packages)


def package_digest(descriptor: Descriptor, manifest: Manifest) -> str:
    """Hex digest that names a package: its manifest's, as it was before it was sealed."""
    if not any(is_sealed(layer) for layer in manifest.layers):
        return descriptor.hex
    return sha256_bytes(document_bytes(plain_manifest(manifest), oci.MANIFEST))


def read_sealing(layout: Layout, manifest: Manifest) -> Sealing:
    """Raises ArtifactRefused("encryption") where it is none."""
    if len(manifest.layers) != 1:
        raise ArtifactRefused("encryption", f"the sealing document has {len(manifest.layers)} layers, one is due. Publish the release again.")
    return Sealing.from_json(layout.read(manifest.layers[0], _SEALING_LIMIT))


@dataclass
class _Reading:
    """What was read so far, and how many bytes may still come."""

    layout: Layout
    contents: dict[str, bytes] = field(default_factory=dict)
    sealed: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    packages: dict[str, Manifest] = field(default_factory=dict)
    sealing: Sealing | None = None
    budget: int = TOTAL_LIMIT

    def add(self, descriptor: Descriptor, manifest: Manifest) -> None:
        if manifest.artifact_type == SEALING_TYPE:
            if self.sealing is not None:
                raise ArtifactRefused("encryption", "two wrapped data keys come with the release. Publish it again.")
            self.sealing = read_sealing(self.layout, manifest)
            return
        package = package_digest(descriptor, manifest) if manifest.artifact_type == MODEL else ""
        if package:
            self.packages[package] = plain_manifest(manifest)
        for layer in manifest.layers:
            path = _place(manifest, package, layer)
            kind = kind_of(path)
            if path in self.contents or path in self.sealed or len(self.contents) + len(self.sealed) >= FILE_LIMIT:
                raise ArtifactRefused("format", f"{path} comes twice, or too many files come. Compose the release again.")
            self._add(path, kind, layer)

    def _add(self, path: str, kind: FileKind, layer: Descriptor) -> None:
        if layer.media_type == kind.media_type:
            self.contents[path] = self.layout.read(layer, min(kind.limit, self.budget))
            self.budget -= layer.size
            return
        if layer.media_type != kind.media_type + SEALED or kind.open:
            raise ArtifactRefused("format", f"{path} comes as {layer.media_type[:100]!r}, not {kind.media_type}. Package the model again.")
        self.budget -= check_sealed_size(path, layer)
        if self.budget < 0:
            raise ArtifactRefused("size", f"the release has more than {TOTAL_LIMIT // MIB} MiB. Release fewer or smaller models.")
        self.sealed[path] = lambda: self.layout.read(layer, layer.size)


def _place(manifest: Manifest, package: str, layer: Descriptor) -> str:
    """Where a layer's file lies in a Pod. Raises ArtifactRefused("format")."""
    name = layer.annotations.get(FILE_PATH, "")
    if manifest.artifact_type == RELEASE_TYPE and name in RELEASE_FILES:
        return name
    if manifest.artifact_type == MODEL and name in PACKAGE_FILES:
        return f"packages/{package}/{name}"
    if manifest.artifact_type == SIGNATURE.media_type and name == SIGNATURE_FILE and manifest.subject is not None:
        return f"packages/{manifest.subject.hex}/{SIGNATURE_FILE}"
    raise ArtifactRefused("format", f"{name[:100]!r} in a {manifest.artifact_type[:100]!r} is not on the list of what a release may hold. Compose it again.")
