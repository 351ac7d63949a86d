"""Where packages and releases are kept: an OCI layout with ModelPack's media types, in a folder or a bucket.

    store = ReleaseStore(state.releases)                  or ReleaseStore.open("s3://releases", os.environ)
    stored = store.add(folder, trust)                     a signed package folder → its manifest
    published = store.publish(compose(…), {…}, key)       versions of a name: 1, 2, 3, …
    store.latest("incident")                              what `presage://incident:local` means here

A package's signature is a manifest of its own that refers to the package's (`subject`), so that a package has one digest
whoever signs it. A release is an image index naming its packages, their signatures and the manifest of its document.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import orjson

from presage.errors import ArtifactRefused
from presage.files import canonical_json, sha256_bytes
from presage.package import oci
from presage.package.contract import Contract
from presage.package.fetching import FILE_PATH, MODEL, RELEASE_TYPE, Fetched, fetch_release
from presage.package.keys import SigningKey, Trust
from presage.package.layout import PACKAGE_FILES, RELEASE, RELEASE_FILES, RELEASE_SIGNATURE, SIGNATURE
from presage.package.oci import Descriptor, Index, Layout, Manifest
from presage.package.package import read_package
from presage.package.reference import Reference
from presage.package.release import ReleaseDocument
from presage.package.signing import SIGNATURE_FILE
from presage.package.verification import sign_release, verify
from presage.storage.address import open_storage
from presage.storage.folder import Folder
from presage.storage.storage import Storage

MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
ROLE, RELEASE_DIGEST, CREATED = "io.presage.role", "io.presage.release.digest", "org.opencontainers.image.created"


@dataclass(frozen=True)
class StoredPackage:
    """A package in the store. digest: of its manifest; files: name → SHA-256 hex, without the signature; bundle: SHA-256 hex of the signature."""

    model: str
    family: str
    created: str
    contract: Contract
    files: Mapping[str, str]
    manifest: Descriptor
    signature: Descriptor
    bundle: str

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @classmethod
    def of(cls, model: str, files: Mapping[str, bytes], manifest: Descriptor, signature: Descriptor) -> "StoredPackage":
        """files: of a package that was checked, its signature among them."""
        lineage = orjson.loads(files["lineage.json"])
        return cls(
            model=model,
            family=lineage["family"],
            created=lineage["created"],
            contract=Contract.from_json(files["contract.json"]),
            files={name: sha256_bytes(content) for name, content in files.items() if name != SIGNATURE_FILE},
            manifest=manifest,
            signature=signature,
            bundle=sha256_bytes(files[SIGNATURE_FILE]),
        )


@dataclass(frozen=True)
class Published:
    """A release in the store."""

    reference: Reference
    document: ReleaseDocument

    @property
    def uri(self) -> str:
        return str(self.reference)


class ReleaseStore:
    """Reading makes nothing; of two writers at once each gets a version of its own."""

    def __init__(self, where: Path | Storage) -> None:
        self.layout = Layout(Folder(where) if isinstance(where, Path) else where)

    @classmethod
    def open(cls, address: str, environment: Mapping[str, str]) -> "ReleaseStore":
        """address: a folder, or `s3://bucket[/prefix]`, whose account the environment names (presage.storage.s3). Raises StorageError."""
        return cls(open_storage(address, environment))

    def __str__(self) -> str:
        return str(self.layout)

    def add(self, folder: Path, trust: Trust) -> StoredPackage:
        """Store a signed package folder. Raises ArtifactRefused where the gate would."""
        _, files = read_package(folder, trust)
        self.layout.make()
        manifest = self.put_package(folder.name, files, orjson.loads(files["lineage.json"]))
        return StoredPackage.of(folder.name, files, manifest, self.put_signature(files[SIGNATURE_FILE], manifest))

    def put_package(self, model: str, files: Mapping[str, bytes], lineage: Mapping[str, str]) -> Descriptor:
        """A package's files as a ModelPack manifest, whose digest names the package. Checks nothing."""
        layers = [self.layout.put(files[name], kind.media_type, annotations={FILE_PATH: name}) for name, kind in PACKAGE_FILES.items() if name in files]
        config = {
            "descriptor": {"createdAt": lineage["created"], "name": model, "family": lineage["family"], "revision": lineage["run_id"]},
            "config": {"format": "onnx", "precision": "float32"},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
        return self.layout.put_document(Manifest(self.layout.put(canonical_json(config), MODEL_CONFIG), layers, MODEL), oci.MANIFEST)

    def put_signature(self, bundle: bytes, package: Descriptor) -> Descriptor:
        """A package's signature, as a manifest that refers to the package's."""
        layer = self.layout.put(bundle, SIGNATURE.media_type, annotations={FILE_PATH: SIGNATURE_FILE})
        return self.layout.put_document(Manifest(self.put_empty(), [layer], SIGNATURE.media_type, subject=package), oci.MANIFEST)

    def put_release(self, document: bytes, envelope: bytes) -> Descriptor:
        """A release's document and signature, as a manifest."""
        layers = [
            self.layout.put(content, RELEASE_FILES[name].media_type, annotations={FILE_PATH: name})
            for name, content in ((RELEASE, document), (RELEASE_SIGNATURE, envelope))
        ]
        return self.layout.put_document(Manifest(self.put_empty(), layers, RELEASE_TYPE), oci.MANIFEST)

    def put_entry(self, reference: Reference, created: str, manifests: Sequence[tuple[str, Descriptor]]) -> Descriptor:
        """The index of a release, described as `index.json` names it. manifests: (role, manifest)."""
        marks = {RELEASE_DIGEST: str(reference.digest)}
        index = Index([replace_annotations(descriptor, {ROLE: role}) for role, descriptor in manifests], RELEASE_TYPE, marks)
        entry = self.layout.put_document(index, oci.INDEX)
        return replace_annotations(entry, {**marks, oci.REF_NAME: f"{reference.name}:{reference.version}", CREATED: created})

    def put_empty(self) -> Descriptor:
        return self.layout.put(b"{}", oci.EMPTY)

    def publish(self, draft: ReleaseDocument, packages: Mapping[str, StoredPackage], key: SigningKey, *, least: int = 1) -> Published:
        """Give a composed release the next version of its name (`least` at the lowest), sign and store it.

        A draft equal to the name's last release, by the same key, is that release: packaging twice changes nothing.
        """

        def enter(entries: list[Descriptor]) -> Published:
            last = max(_versions(entries, draft.name), default=0)
            if last >= least and (before := self._same(Reference(draft.name, last, None), entries, draft, key)):
                return before
            document = msgspec.structs.replace(draft, version=max(last + 1, least))
            content = document.to_json()
            envelope = sign_release(document, {stored.digest: stored.bundle for stored in packages.values()}, key)
            members = [
                (mark, descriptor) for role, stored in packages.items() for mark, descriptor in ((role, stored.manifest), ("signature", stored.signature))
            ]
            reference = Reference(document.name, document.version, f"sha256:{sha256_bytes(content)}")
            entries.append(self.put_entry(reference, document.created, [*members, ("release", self.put_release(content, envelope))]))
            return Published(reference, document)

        return self.layout.update(enter)

    def versions(self, name: str) -> list[int]:
        """Ascending."""
        return sorted(_versions(self.layout.top().manifests, name))

    def latest(self, name: str) -> Reference:
        """The last release of a name, pinned. Raises ArtifactRefused("digest") where there is none."""
        return self.pin(Reference(name, None, None))

    def pin(self, reference: Reference) -> Reference:
        """A release by its name, version (None: the last) and digest, as the store has it. Raises ArtifactRefused("digest") where it has none."""
        entries = self.layout.top().manifests
        version = reference.version or max(_versions(entries, reference.name), default=0)
        if not version:
            raise ArtifactRefused("digest", f"{self} holds no release of {reference.name}. Train and package one first.")
        found = self.entry(Reference(reference.name, version, None), entries).annotations.get(RELEASE_DIGEST)
        if reference.digest not in (None, found):
            raise ArtifactRefused("digest", f"{reference} was asked for, and {self} has {reference.name}:{version} as {found}. Ask for that one.")
        return Reference(reference.name, version, found)

    def fetch(self, reference: Reference) -> Fetched:
        """Read a release's files, each within its limits. Raises ArtifactRefused("size", "format", "digest" or "encryption")."""
        if reference.version is None:
            reference = self.pin(reference)
        return self._fetch(reference, self.layout.top().manifests)

    def entry(self, reference: Reference, entries: Sequence[Descriptor]) -> Descriptor:
        """What `index.json` says of a release, by its name alone: the gate checks the rest."""
        name = f"{reference.name}:{reference.version}"
        found = [entry for entry in entries if entry.annotations.get(oci.REF_NAME) == name]
        if len(found) != 1:
            known = ", ".join(map(str, sorted(_versions(entries, reference.name)))) or "none"
            raise ArtifactRefused("digest", f"{self} holds {len(found)} releases called {name} (it has: {known}). Publish it first.")
        return found[0]

    def _fetch(self, reference: Reference, entries: Sequence[Descriptor]) -> Fetched:
        return fetch_release(self.layout, self.layout.read_index(self.entry(reference, entries)), str(reference))

    def _same(self, reference: Reference, entries: Sequence[Descriptor], draft: ReleaseDocument, key: SigningKey) -> Published | None:
        try:
            fetched = self._fetch(reference, entries)
            release = verify(fetched.contents, Trust.of([key.public]), reference, sealed=fetched.sealed, approving=False)
        except ArtifactRefused:
            return None
        if msgspec.structs.replace(release.document, version=draft.version) != draft:
            return None
        return Published(replace(reference, digest=release.digest), release.document)


def replace_annotations(descriptor: Descriptor, annotations: dict[str, str]) -> Descriptor:
    """The same blob with other annotations."""
    return msgspec.structs.replace(descriptor, annotations=annotations)


def _versions(entries: Sequence[Descriptor], name: str) -> list[int]:
    names = [entry.annotations.get(oci.REF_NAME, "").partition(":") for entry in entries]
    return [int(version) for found, _, version in names if found == name and version.isascii() and version.isdigit() and len(version) < 10]
