"""Where packages and releases are kept: an OCI layout with ModelPack's media types; publishing is copying.

    store = ReleaseStore(state.releases)
    stored = store.add(folder, trust)                     a signed package folder → its manifest
    published = store.publish(compose(…), {…}, key)       versions of a name: 1, 2, 3, …
    store.latest("incident")                              what `presage://incident:local` means here

A package's signature is a manifest of its own that refers to the package's (`subject`), so that a package has one digest
whoever signs it. A release is an image index naming its packages, their signatures and the manifest of its document.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import orjson

from presage.errors import ArtifactRefused
from presage.files import canonical_json, sha256_bytes
from presage.package import oci
from presage.package.contract import Contract
from presage.package.keys import SigningKey, Trust
from presage.package.layout import FILE_LIMIT, PACKAGE_FILES, RELEASE, RELEASE_FILES, RELEASE_SIGNATURE, SIGNATURE, TOTAL_LIMIT, kind_of
from presage.package.oci import Descriptor, Index, Layout, Manifest
from presage.package.package import read_package
from presage.package.reference import Reference
from presage.package.release import ReleaseDocument, Role
from presage.package.signing import SIGNATURE_FILE
from presage.package.verification import sign_release, verify

MODEL = "application/vnd.cncf.model.manifest.v1+json"
MODEL_CONFIG = "application/vnd.cncf.model.config.v1+json"
FILE_PATH = "org.cncf.model.filepath"
RELEASE_TYPE = "application/vnd.presage.release.v1+json"
ROLE, RELEASE_DIGEST = "io.presage.role", "io.presage.release.digest"
SEALED = "+encrypted"


@dataclass(frozen=True)
class StoredPackage:
    """A package in the store. digest: of its manifest; files: name → SHA-256 hex, without the signature."""

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


@dataclass(frozen=True)
class Published:
    """A release in the store."""

    reference: Reference
    document: ReleaseDocument

    @property
    def uri(self) -> str:
        return str(self.reference)


@dataclass(frozen=True)
class Fetched:
    """A release as read from the store, nothing of it verified but blob digests: Pod layout path → bytes; paths still sealed."""

    contents: dict[str, bytes]
    sealed: list[str]


class ReleaseStore:
    """A folder that holds releases. Reading makes nothing; writers take turns."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)

    def add(self, folder: Path, trust: Trust) -> StoredPackage:
        """Store a signed package folder. Raises ArtifactRefused where the gate would."""
        _, files = read_package(folder, trust)
        self.layout.make()
        layers = [self.layout.put(files[name], kind.media_type, annotations={FILE_PATH: name}) for name, kind in PACKAGE_FILES.items() if name in files]
        lineage = orjson.loads(files["lineage.json"])
        config = {
            "descriptor": {"createdAt": lineage["created"], "name": folder.name, "family": lineage["family"], "revision": lineage["run_id"]},
            "config": {"format": "onnx", "precision": "float32"},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
        manifest = self.layout.put_document(Manifest(self.layout.put(canonical_json(config), MODEL_CONFIG), layers, MODEL), oci.MANIFEST)
        bundle = self.layout.put(files[SIGNATURE_FILE], SIGNATURE.media_type, annotations={FILE_PATH: SIGNATURE_FILE})
        signature = self.layout.put_document(Manifest(self._empty(), [bundle], SIGNATURE.media_type, subject=manifest), oci.MANIFEST)
        return StoredPackage(
            model=folder.name,
            family=lineage["family"],
            created=lineage["created"],
            contract=Contract.from_json(files["contract.json"]),
            files={name: sha256_bytes(content) for name, content in files.items() if name != SIGNATURE_FILE},
            manifest=manifest,
            signature=signature,
            bundle=bundle.hex,
        )

    def publish(self, draft: ReleaseDocument, packages: Mapping[Role, StoredPackage], key: SigningKey) -> Published:
        """Give a composed release the next version of its name, sign and store it.

        A draft equal to the name's last release, by the same key, is that release: packaging twice changes nothing.
        """
        with self.layout.adding() as entries:
            last = max(_versions(entries, draft.name), default=0)
            if last and (before := self._same(Reference(draft.name, last, None), draft, key)):
                return before
            document = msgspec.structs.replace(draft, version=last + 1)
            content = document.to_json()
            envelope = sign_release(document, {stored.digest: stored.bundle for stored in packages.values()}, key)
            layers = [
                self.layout.put(data, RELEASE_FILES[name].media_type, annotations={FILE_PATH: name})
                for name, data in ((RELEASE, content), (RELEASE_SIGNATURE, envelope))
            ]
            named = self.layout.put_document(Manifest(self._empty(), layers, RELEASE_TYPE), oci.MANIFEST)
            members = [
                replace_annotations(descriptor, {ROLE: mark})
                for role, stored in packages.items()
                for descriptor, mark in ((stored.manifest, role), (stored.signature, "signature"))
            ]
            reference = Reference(document.name, document.version, f"sha256:{sha256_bytes(content)}")
            marks = {RELEASE_DIGEST: str(reference.digest)}
            entry = self.layout.put_document(Index([*members, replace_annotations(named, {ROLE: "release"})], RELEASE_TYPE, marks), oci.INDEX)
            name = {oci.REF_NAME: f"{document.name}:{document.version}", "org.opencontainers.image.created": document.created}
            entries.append(replace_annotations(entry, marks | name))
        return Published(reference, document)

    def versions(self, name: str) -> list[int]:
        """Ascending."""
        return sorted(_versions(self.layout.top().manifests, name))

    def latest(self, name: str) -> Reference:
        """The last release of a name, pinned. Raises ArtifactRefused("digest") where there is none."""
        versions = self.versions(name)
        if not versions:
            raise ArtifactRefused("digest", f"{self.layout.folder} holds no release of {name}. Train and package one first.")
        entry = self._entry(Reference(name, versions[-1], None))
        return Reference(name, versions[-1], entry.annotations.get(RELEASE_DIGEST))

    def fetch(self, reference: Reference) -> Fetched:
        """Read a release's files, each within its limits. Raises ArtifactRefused("size", "format" or "digest")."""
        index = self.layout.read_index(self._entry(reference))
        if len(index.manifests) > 40:
            raise ArtifactRefused("size", f"{reference} names {len(index.manifests)} manifests, 40 are allowed. Release fewer models.")
        fetched = Fetched({}, [])
        budget = TOTAL_LIMIT
        for descriptor in index.manifests:
            if descriptor.media_type != oci.MANIFEST:
                raise ArtifactRefused("format", f"{reference} names a {descriptor.media_type[:100]!r}, only image manifests are allowed. Compose it again.")
            manifest = self.layout.read_manifest(descriptor)
            for layer in manifest.layers:
                path, media_type = _place(manifest, descriptor, layer)
                limit = min(kind_of(path).limit, budget)
                if path in fetched.contents or len(fetched.contents) >= FILE_LIMIT:
                    raise ArtifactRefused("format", f"{path} comes twice, or too many files come. Compose the release again.")
                if layer.media_type == media_type + SEALED:
                    fetched.sealed.append(path)
                    continue
                if layer.media_type != media_type:
                    raise ArtifactRefused("format", f"{path} comes as {layer.media_type[:100]!r}, not {media_type}. Package the model again.")
                fetched.contents[path] = self.layout.read(layer, limit)
                budget -= layer.size
        return fetched

    def _entry(self, reference: Reference) -> Descriptor:
        """The index of a release: by the document digest that index.json notes, else by its name (the gate checks both again)."""
        version = max(self.versions(reference.name), default=0) if reference.version is None else reference.version
        name = f"{reference.name}:{version}"
        entries = [entry for entry in self.layout.top().manifests if entry.annotations.get(oci.REF_NAME) == name]
        if len(entries) != 1:
            known = ", ".join(map(str, self.versions(reference.name))) or "none"
            raise ArtifactRefused("digest", f"{self.layout.folder} holds {len(entries)} releases called {name} (it has: {known}). Publish it first.")
        return entries[0]

    def _same(self, reference: Reference, draft: ReleaseDocument, key: SigningKey) -> Published | None:
        try:
            release = verify(self.fetch(reference).contents, Trust.of([key.public]), reference)
        except ArtifactRefused:
            return None
        if msgspec.structs.replace(release.document, version=draft.version) != draft:
            return None
        return Published(replace(reference, digest=release.digest), release.document)

    def _empty(self) -> Descriptor:
        return self.layout.put(b"{}", oci.EMPTY)


def replace_annotations(descriptor: Descriptor, annotations: dict[str, str]) -> Descriptor:
    """The same blob with other annotations."""
    return msgspec.structs.replace(descriptor, annotations=annotations)


def _versions(entries: list[Descriptor], name: str) -> list[int]:
    names = [entry.annotations.get(oci.REF_NAME, "").partition(":") for entry in entries]
    return [int(version) for found, _, version in names if found == name and version.isascii() and version.isdigit() and len(version) < 10]


def _place(manifest: Manifest, descriptor: Descriptor, layer: Descriptor) -> tuple[str, str]:
    """(Pod layout path, media type that is due) of a layer. Raises ArtifactRefused("format")."""
    name = layer.annotations.get(FILE_PATH, "")
    if manifest.artifact_type == RELEASE_TYPE and name in RELEASE_FILES:
        return name, RELEASE_FILES[name].media_type
    if manifest.artifact_type == MODEL and name in PACKAGE_FILES:
        return f"packages/{descriptor.hex}/{name}", PACKAGE_FILES[name].media_type
    if manifest.artifact_type == SIGNATURE.media_type and name == SIGNATURE_FILE and manifest.subject is not None:
        return f"packages/{manifest.subject.hex}/{SIGNATURE_FILE}", SIGNATURE.media_type
    raise ArtifactRefused("format", f"{name[:100]!r} in a {manifest.artifact_type[:100]!r} is not on the list of what a release may hold. Compose it again.")
