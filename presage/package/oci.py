"""An OCI image layout in a folder or a bucket: content-addressed blobs, one `index.json` of what they are called.

    oci-layout  index.json  blobs/sha256/<hex>

Documents are canonical JSON, so the same content has the same digest everywhere. Blobs come first, each whole; the index comes
last and is replaced only where nobody else replaced it meanwhile: what was interrupted is in no index, so nobody sees it. Reading
checks every digest and never more bytes than were announced.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from presage.errors import ArtifactRefused
from presage.files import canonical_json, sha256_bytes
from presage.package.formats import check_json
from presage.storage.folder import Folder
from presage.storage.storage import Changed, Storage, StorageError, Unreadable, Versioned

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
DOCUMENT_LIMIT = 4 << 20
Document = TypeVar("Document", "Manifest", "Index")
Result = TypeVar("Result")
_INDEX_FILE, _LAYOUT_FILE = "index.json", "oci-layout"
_LAYOUT = canonical_json({"imageLayoutVersion": "1.0.0"})
_WRITERS = 40  # how often others may be first before a writer gives up
_WAIT = 0.05  # seconds at most between two of its tries, times the tries so far


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


def document_bytes(document: Manifest | Index, media_type: str) -> bytes:
    """A manifest or an index as it is stored: canonical JSON."""
    return canonical_json(msgspec.to_builtins(document) | {"schemaVersion": 2, "mediaType": media_type})


@dataclass(frozen=True)
class Layout:
    """An OCI layout over a storage. Reading makes nothing."""

    storage: Storage

    def __str__(self) -> str:
        return str(self.storage)

    @property
    def folder(self) -> Path:
        """Where it lies, if that is a folder."""
        if not isinstance(self.storage, Folder):
            raise StorageError(f"{self} is no folder. Name one.")
        return self.storage.path

    def make(self) -> None:
        """What tells other tools that this is an OCI layout."""
        if not self.storage.holds(_LAYOUT_FILE, len(_LAYOUT)):
            self.storage.write(_LAYOUT_FILE, _LAYOUT)

    def key(self, digest: str) -> str:
        """Where a blob lies. Raises ArtifactRefused("format") where `digest` is no SHA-256."""
        algorithm, _, name = digest.partition(":")
        if algorithm != "sha256" or len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ArtifactRefused("format", f"{digest[:100]!r} is no digest. Write sha256: and 64 hex digits.")
        return f"blobs/sha256/{name}"

    def put(self, content: bytes, media_type: str, **more: Any) -> Descriptor:
        """Store one blob (once) and describe it. One that is there is refreshed: retention leaves what somebody may be about to name."""
        descriptor = Descriptor(media_type, f"sha256:{sha256_bytes(content)}", len(content), **more)
        key = self.key(descriptor.digest)
        if not (self.storage.holds(key, len(content)) and self.storage.refresh(key)):
            self.storage.write(key, content)
        return descriptor

    def put_document(self, document: Manifest | Index, media_type: str, **more: Any) -> Descriptor:
        """Store a manifest or an index."""
        return self.put(document_bytes(document, media_type), media_type, artifact_type=document.artifact_type, **more)

    def read(self, descriptor: Descriptor, limit: int) -> bytes:
        """A blob's bytes. Raises ArtifactRefused("size", "format" or "digest")."""
        if not 0 <= descriptor.size <= limit:
            raise ArtifactRefused("size", f"blob {descriptor.digest} announces {descriptor.size} bytes, {limit} are allowed. Release a smaller file.")
        try:
            content = self.storage.read(self.key(descriptor.digest), descriptor.size)
        except Unreadable as error:
            raise ArtifactRefused("format", f"blob {descriptor.digest} cannot be read from {self} ({error}). Copy the release again.") from None
        if len(content) != descriptor.size or sha256_bytes(content) != descriptor.hex:
            raise ArtifactRefused("digest", f"blob {descriptor.digest} does not hold what its name says. Copy the release again.")
        return content

    def read_manifest(self, descriptor: Descriptor) -> Manifest:
        return _decode(self.read(descriptor, DOCUMENT_LIMIT), Manifest, MANIFEST, descriptor.digest)

    def read_index(self, descriptor: Descriptor) -> Index:
        return _decode(self.read(descriptor, DOCUMENT_LIMIT), Index, INDEX, descriptor.digest)

    def top(self) -> Index:
        """`index.json`; empty where the layout is new. Raises ArtifactRefused("format")."""
        return self._top()[0]

    def update(self, change: Callable[[list[Descriptor]], Result]) -> Result:
        """Let `change` edit the index's entries in place, and store them; what it returned.

        Where another writer was first, `change` is called again with that writer's entries: it decides by what it is given alone.
        """
        for tried in range(1, _WRITERS + 1):
            index, before = self._top()
            entries = list(index.manifests)
            result = change(entries)
            if entries == index.manifests:
                return result
            self.make()
            try:
                self.storage.replace(_INDEX_FILE, document_bytes(Index(entries), INDEX), before)
            except Changed:
                time.sleep(_WAIT * tried * secrets.randbelow(1000) / 1000)
                continue
            return result
        raise StorageError(f"{self}: other writers were first {_WRITERS} times. Nothing was published; publish again.")

    def _top(self) -> tuple[Index, Versioned | None]:
        where = f"{self}/{_INDEX_FILE}"
        try:
            found = self.storage.current(_INDEX_FILE, DOCUMENT_LIMIT)
        except Unreadable as error:
            raise ArtifactRefused("format", f"{where} cannot be read ({error}). Name another release store.") from None
        if found is None:
            return Index([]), None
        if len(found.content) > DOCUMENT_LIMIT:
            raise ArtifactRefused("size", f"{where} has more than {DOCUMENT_LIMIT} bytes. Remove old releases.")
        return _decode(found.content, Index, INDEX, where), found


def _decode(content: bytes, kind: type[Document], media_type: str, where: str) -> Document:
    try:
        check_json(content)
        document = msgspec.json.decode(content, type=kind)
    except ValueError as error:  # MsgspecError is one
        raise ArtifactRefused("format", f"{where} is no OCI document ({error}). Copy the release again.") from None
    if document.schema_version != 2 or document.media_type not in (media_type, ""):  # OCI lets the type be left out
        raise ArtifactRefused("format", f"{where} says it is {document.media_type[:100]!r}, not {media_type}. Copy the release again.")
    return document
