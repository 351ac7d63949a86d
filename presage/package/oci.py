"""An OCI image layout in a folder: content-addressed blobs, one `index.json` of what they are called.

    oci-layout  index.json  blobs/sha256/<hex>

Documents are canonical JSON, so the same content has the same digest everywhere. A blob appears whole; the index is replaced
whole, by one writer at a time. Reading checks every digest and never more bytes than were announced.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from presage.errors import ArtifactRefused
from presage.files import canonical_json, sha256_bytes, write_bytes
from presage.package.formats import check_json
from presage.package.locks import locked

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
DOCUMENT_LIMIT = 4 << 20
Document = TypeVar("Document", "Manifest", "Index")


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a blob is: its media type, digest (`sha256:<hex>`), size in bytes."""

    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An image manifest: a config, layers, and the manifest it refers to."""

    config: Descriptor
    layers: list[Descriptor]
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}
    media_type: str = msgspec.field(default="")
    schema_version: int = msgspec.field(default=0)


class Index(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An image index: descriptors of manifests."""

    manifests: list[Descriptor]
    artifact_type: str = ""
    annotations: dict[str, str] = {}
    media_type: str = msgspec.field(default="")
    schema_version: int = msgspec.field(default=0)


@dataclass(frozen=True)
class Layout:
    """The folder. `make` before writing; reading needs nothing."""

    folder: Path

    def make(self) -> None:
        (self.folder / "blobs" / "sha256").mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.folder / "oci-layout").exists():
            write_bytes(self.folder / "oci-layout", canonical_json({"imageLayoutVersion": "1.0.0"}))

    def path(self, digest: str) -> Path:
        """Where a blob lies. Raises ArtifactRefused("format") where `digest` is no SHA-256."""
        algorithm, _, name = digest.partition(":")
        if algorithm != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ArtifactRefused("format", f"{digest[:100]!r} is no digest. Write sha256: and 64 hex digits.")
        return self.folder / "blobs" / "sha256" / name

    def put(self, content: bytes, media_type: str, **more: Any) -> Descriptor:
        """Store one blob (once) and describe it."""
        descriptor = Descriptor(media_type, f"sha256:{sha256_bytes(content)}", len(content), **more)
        path = self.path(descriptor.digest)
        if not path.exists():
            write_bytes(path, content)
        return descriptor

    def put_document(self, document: Manifest | Index, media_type: str, **more: Any) -> Descriptor:
        """Store a manifest or an index as canonical JSON."""
        built = msgspec.to_builtins(document) | {"schemaVersion": 2, "mediaType": media_type}
        return self.put(canonical_json(built), media_type, artifact_type=document.artifact_type, **more)

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        """A blob's bytes. Raises ArtifactRefused("size", "format" or "digest")."""
        if descriptor.size > limit:
            raise ArtifactRefused("size", f"blob {descriptor.digest} announces {descriptor.size} bytes, {limit} are allowed. Release a smaller file.")
        path = self.path(descriptor.digest)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise ArtifactRefused("format", f"blob {descriptor.digest} cannot be read from the store ({error.strerror}). Copy the release again.") from None
        with os.fdopen(handle, "rb") as blob:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ArtifactRefused("format", f"blob {descriptor.digest} is no file. Copy the release again.")
            content = blob.read(descriptor.size + 1)
        if len(content) != descriptor.size or sha256_bytes(content) != descriptor.hex:
            raise ArtifactRefused("digest", f"blob {descriptor.digest} does not hold what its name says. Copy the release again.")
        return content

    def read_manifest(self, descriptor: Descriptor) -> Manifest:
        return _decode(self.read(descriptor, DOCUMENT_LIMIT), Manifest, MANIFEST, descriptor.digest)

    def read_index(self, descriptor: Descriptor) -> Index:
        return _decode(self.read(descriptor, DOCUMENT_LIMIT), Index, INDEX, descriptor.digest)

    def top(self) -> Index:
        """`index.json`; empty where the layout is new. Raises ArtifactRefused("format")."""
        try:
            with (self.folder / "index.json").open("rb") as handle:
                content = handle.read(DOCUMENT_LIMIT + 1)
        except FileNotFoundError:
            return Index([])
        except OSError as error:
            raise ArtifactRefused("format", f"{self.folder}/index.json cannot be read ({error.strerror}). Name another release store.") from None
        if len(content) > DOCUMENT_LIMIT:
            raise ArtifactRefused("size", f"{self.folder}/index.json has more than {DOCUMENT_LIMIT} bytes. Remove old releases.")
        return _decode(content, Index, INDEX, f"{self.folder}/index.json")

    @contextmanager
    def adding(self) -> Iterator[list[Descriptor]]:
        """The index's entries, to be changed; written back whole at the end, one writer at a time."""
        self.make()
        with locked(self.folder):
            entries = list(self.top().manifests)
            yield entries
            document = msgspec.to_builtins(Index(entries)) | {"schemaVersion": 2, "mediaType": INDEX}
            write_bytes(self.folder / "index.json", canonical_json(document))


def _decode(content: bytes, kind: type[Document], media_type: str, where: str) -> Document:
    try:
        check_json(content)
        document = msgspec.json.decode(content, type=kind)
    except ValueError as error:  # MsgspecError is one
        raise ArtifactRefused("format", f"{where} is no OCI document ({error}). Copy the release again.") from None
    if document.schema_version != 2 or document.media_type not in (media_type, ""):  # OCI lets the type be left out
        raise ArtifactRefused("format", f"{where} says it is {document.media_type[:100]!r}, not {media_type}. Copy the release again.")
    return document
