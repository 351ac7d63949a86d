"""Publishing is copying: a release goes from one store to another under the same name and digest, sealed on the way.

    publish(reference, ReleaseStore(state.releases), ReleaseStore.open("s3://releases", os.environ), keys, trust=trust)

It is checked as the gate checks it before a byte is sent. Its blobs go first, its entry in `index.json` last and in one step, so an
interrupted upload is seen by nobody and going on is publishing again. What is there already is left as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from presage.contracts.reading import previous_contract
from presage.contracts.successor import check_successor
from presage.errors import InputError
from presage.files import sha256_bytes
from presage.package import oci
from presage.package.approvals import Approvals
from presage.package.dsse import named_signer
from presage.package.fetching import FILE_PATH, MODEL, Fetched, package_digest
from presage.package.keys import SigningKey, Trust
from presage.package.layout import PACKAGE_FILES, RELEASE, RELEASE_SIGNATURE
from presage.package.oci import DOCUMENT_LIMIT, Descriptor, Manifest, document_bytes
from presage.package.reference import Reference
from presage.package.release import Release
from presage.package.sealing import SEALING_TYPE, KeyWrapper, Sealing, seal, sealed_layer
from presage.package.signing import SIGNATURE_FILE, countersign
from presage.package.store import RELEASE_DIGEST, ROLE, ReleaseStore
from presage.package.verification import sign_release, verify


def publish(
    reference: Reference,
    source: ReleaseStore,
    target: ReleaseStore,
    keys: KeyWrapper | None,
    *,
    trust: Trust,
    key: SigningKey | None = None,
    approvals: Approvals | None = None,
    approving: bool = True,
) -> Reference:
    """Make sure that `target` holds a release of `source`; its pinned name, for Git.

    keys: wraps the data key that seals it; None: it is copied as it is in the clear. key: signs release and packages anew, for stores whose
    readers do not trust the composing key; the digests stay. trust: whose signatures count in `source`. approvals: what is known of them;
    approving: False where they are left to the gates that read `target`.

    Raises InputError where `target` has another release of this name, or has it in the clear and it shall be sealed; ArtifactRefused where
    the gate would refuse it, or where it breaks callers of the release before it there; StorageError, SecretsError.
    """
    reference = source.pin(reference)
    signer = key.id if key else _signer(source, source.entry(reference, source.layout.top().manifests))
    if _is_there(target, reference, signer, sealed=keys is not None):
        return reference
    fetched = source.fetch(reference)
    release = verify(fetched.contents, trust, reference, approvals=approvals, approving=approving, sealed=fetched.sealed, keys=keys)
    reference = Reference(release.name, release.version, release.digest)
    if (before := previous_contract(target, release.name, release.version)) is not None:
        check_successor(before, release.primary.contract, f"{release.name} in {target}")
    parcel = Parcel(source, target, fetched, release, key)
    entry = parcel.send(reference, keys)

    def enter(entries: list[Descriptor]) -> None:
        name = f"{reference.name}:{reference.version}"
        place = next((number for number, there in enumerate(entries) if there.annotations.get(oci.REF_NAME) == name), None)
        if place is None:
            entries.append(entry)
        elif not _is_there(target, reference, signer, sealed=keys is not None, entries=entries):
            entries[place] = entry

    target.layout.update(enter)
    return reference


def _is_there(target: ReleaseStore, reference: Reference, signer: str, *, sealed: bool, entries: list[Descriptor] | None = None) -> bool:
    """Whether `target` holds the release as wanted. Raises InputError where what it holds stands in the way."""
    entries = target.layout.top().manifests if entries is None else entries
    name = f"{reference.name}:{reference.version}"
    entry = next((entry for entry in entries if entry.annotations.get(oci.REF_NAME) == name), None)
    if entry is None:
        return False
    if (there := entry.annotations.get(RELEASE_DIGEST, "without digest")) != reference.digest:
        free = 1 + max((version for version in target.versions(reference.name)), default=0)
        raise InputError(
            f"{target} already holds another release called {name} ({there[:19]}…, not {str(reference.digest)[:19]}…). "
            f"Compose this one anew as the next free version: presage release compose {reference.name} --version {free}."
        )
    index = target.layout.read_index(entry)
    if sealed and not any(descriptor.artifact_type == SEALING_TYPE for descriptor in index.manifests):
        raise InputError(f"{target} already holds {name} in the clear, and sealing it there would leave that readable. Remove it first, or say --no-seal.")
    return _signer(target, entry) == signer


def _signer(store: ReleaseStore, entry: Descriptor) -> str:
    """Id of the key that a stored release names as its signer, unverified; empty where it names none."""
    for descriptor in store.layout.read_index(entry).manifests:
        if descriptor.annotations.get(ROLE) != "release":
            continue
        for layer in store.layout.read_manifest(descriptor).layers:
            if layer.annotations.get(FILE_PATH) == RELEASE_SIGNATURE:
                return named_signer(store.layout.read(layer, DOCUMENT_LIMIT))
    return ""


@dataclass(frozen=True)
class Parcel:
    """One verified release on its way. key: who signs it anew, or None."""

    source: ReleaseStore
    target: ReleaseStore
    fetched: Fetched
    release: Release
    key: SigningKey | None

    def send(self, reference: Reference, keys: KeyWrapper | None) -> Descriptor:
        """Store every blob; the entry that names them."""
        data_key, wrapped = keys.data_key() if keys else (b"", "")
        target, document = self.target, self.fetched.contents[RELEASE]
        manifests: list[tuple[str, Descriptor]] = []
        bundles: dict[str, str] = {}
        for role, package in self.release.packages.items():
            bundle = self.fetched.contents[f"packages/{package.member.hex}/{SIGNATURE_FILE}"]
            bundle = countersign(bundle, self.key) if self.key else bundle
            bundles[package.member.package] = sha256_bytes(bundle)
            plain = self.fetched.packages[package.member.hex]
            manifests += [
                (role, self._send_package(plain, package.member.hex, package.files, data_key)),
                ("signature", target.put_signature(bundle, _subject(plain))),
            ]
        envelope = sign_release(self.release.document, bundles, self.key) if self.key else self.fetched.contents[RELEASE_SIGNATURE]
        manifests.append(("release", target.put_release(document, envelope)))
        if keys:
            manifests.append(("sealing", put_sealing(target, Sealing(wrapped))))
        return target.put_entry(reference, self.release.document.created, manifests)

    def _send_package(self, plain: Manifest, package: str, files: Mapping[str, bytes], data_key: bytes) -> Descriptor:
        layout = self.target.layout
        layout.put(self.source.layout.read(plain.config, DOCUMENT_LIMIT), plain.config.media_type)
        layers = []
        for layer in plain.layers:
            name = layer.annotations[FILE_PATH]
            content = files[name]
            if data_key and not PACKAGE_FILES[name].open:
                blob = seal(data_key, content, self.release.digest, f"packages/{package}/{name}")
                layers.append(sealed_layer(layer, layout.put(blob, layer.media_type)))
            else:
                layers.append(layout.put(content, layer.media_type, annotations=layer.annotations))
        sent = msgspec.structs.replace(plain, layers=layers)
        stored = layout.put_document(sent, oci.MANIFEST)
        if package_digest(stored, sent) != package:
            raise InputError(f"{self.release.uri}: the manifest of {package[:12]}… is not written as presage writes one. Package it again.")
        return stored


def put_sealing(store: ReleaseStore, sealing: Sealing) -> Descriptor:
    """The wrapped data key, as a manifest."""
    layer = store.layout.put(sealing.to_json(), SEALING_TYPE)
    return store.layout.put_document(Manifest(store.put_empty(), [layer], SEALING_TYPE), oci.MANIFEST)


def _subject(plain: Manifest) -> Descriptor:
    """A package's manifest as its signature names it, whether or not it is stored sealed."""
    content = document_bytes(plain, oci.MANIFEST)
    return Descriptor(oci.MANIFEST, f"sha256:{sha256_bytes(content)}", len(content), MODEL)


