"""The gate's whole list: every kind of malicious artifact, each brought in as far as it can be, each refused by its own reason.

Where a signature would already stop it, the artifact is signed by the trusted key: what is tested is the step that must refuse it anyway.
Sealed or not, nothing is parsed and nothing is left in the target.
"""

import gzip
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from builders.releases import LocalKeys, World, contract, logistic, parts, seal, world
from onnx import TensorProto

from presage.errors import ArtifactRefused
from presage.package import oci
from presage.package.fetching import FILE_PATH
from presage.package.gate import admit
from presage.package.keys import Trust, local_key
from presage.package.oci import Descriptor, Index, Manifest
from presage.package.publishing import put_sealing
from presage.package.revocation import Revocations
from presage.package.sealing import PLAIN_DIGEST, PLAIN_SIZE, SEALING_TYPE, Sealing, is_sealed
from presage.package.store import ReleaseStore, replace_annotations

KEYS = LocalKeys()
MARK = Path("/tmp") / f"presage-unpickled-{os.getpid()}"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> World:
    return world(tmp_path_factory.mktemp("gate-corpus"))


@dataclass(frozen=True)
class Attack:
    """A release in a store, and what the gate is given for it."""

    uri: str
    store: ReleaseStore
    keys: LocalKeys | None = KEYS
    revocations: Revocations | None = None


def refusal(made: World, attack: Attack, target: Path, trust: Trust | None = None) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as refused:
        admit(attack.uri, target, attack.store, trust or made.trust, keys=attack.keys, revocations=attack.revocations)
    assert list(target.iterdir()) == [] and not MARK.exists()
    assert "\n" not in refused.value.message and refused.value.message.endswith(".")
    return refused.value


class Bomb:
    """What a malicious pickle is: loading it makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, (str(MARK),)


def array_of_objects() -> bytes:
    written = io.BytesIO()
    np.save(written, np.array([Bomb()], dtype=object), allow_pickle=True)
    return written.getvalue()


def archive(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return written.getvalue()


def external(location: str) -> bytes:
    model = logistic(len(contract().inputs))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location=location)
    return model.SerializeToString()


def oversized() -> bytes:
    model = logistic(len(contract().inputs))
    model.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=b"\0"))
    return model.SerializeToString()


def looping() -> bytes:
    model = logistic(len(contract().inputs))
    model.graph.node[0].op_type = "Loop"
    return model.SerializeToString()


FILES = {
    "pickle": {"model.onnx": pickle.dumps(Bomb())},
    "pickle of protocol 0": {"model.onnx": pickle.dumps(Bomb(), 0)},
    "joblib's gzip": {"model.onnx": gzip.compress(pickle.dumps(Bomb()))},
    "torch archive": {"model.onnx": archive("archive/data.pkl", pickle.dumps(Bomb()))},
    "numpy array of objects": {"calibration.safetensors": array_of_objects()},
    "pickle in a safetensors frame": {"calibration.safetensors": (8).to_bytes(8, "little") + b'{"a":1} ' + pickle.dumps(Bomb())},
    "pickle as settings": {"config.pbtxt": pickle.dumps(Bomb())},
    "pickle as lineage": {"lineage.json": pickle.dumps(Bomb(), 0)},
    "zip bomb": {"model.onnx": archive("zeros", b"\0" * 10_000_000)},
    "archive with ..": {"model.onnx": archive("../../etc/cron.d/job", b"* * * * * root true\n")},
    "external data": {"model.onnx": external("weights.bin")},
    "external data outside": {"model.onnx": external("../../../etc/shadow")},
    "external data in memory": {"model.onnx": external("*/_ORT_MEM_ADDR_/*")},
    "oversized graph": {"model.onnx": oversized()},
    "endless graph": {"model.onnx": looping()},
    "deep JSON": {"metrics.json": b'{"a":' * 100 + b"1" + b"}" * 100},
}


@pytest.mark.parametrize("sealed", [False, True], ids=["clear", "sealed"])
@pytest.mark.parametrize("name", FILES)
def test_a_signed_release_of_a_malicious_file_is_refused_by_its_format(made, tmp_path, name, sealed):
    published = made.smuggle(FILES[name], f"smuggled-{list(FILES).index(name)}")
    store = seal(made, published, KEYS) if sealed else made.store
    assert refusal(made, Attack(published.uri, store), tmp_path / "models").reason == "format"


def sealed_copy(made: World) -> ReleaseStore:
    return seal(made, made.published, KEYS)


def forged(store: ReleaseStore, edit: Callable[[Descriptor, Manifest], Manifest | None]) -> ReleaseStore:
    """The release's index with manifests edited (None: left out), and everything that names them by digest written anew."""
    layout = store.layout
    (entry,) = layout.top().manifests
    index = layout.read_index(entry)
    manifests = []
    for descriptor in index.manifests:
        changed = edit(descriptor, layout.read_manifest(descriptor))
        if changed is not None:
            manifests.append(layout.put_document(changed, oci.MANIFEST, annotations=descriptor.annotations))
    written = layout.put_document(Index(manifests, index.artifact_type, index.annotations), oci.INDEX)
    layout.update(lambda entries: entries.__setitem__(0, replace_annotations(written, entry.annotations)))
    return store


def with_layers(edit: Callable[[Descriptor], Descriptor]) -> Callable[[Descriptor, Manifest], Manifest]:
    return lambda descriptor, manifest: msgspec.structs.replace(manifest, layers=[edit(layer) for layer in manifest.layers])


def flipped(made: World) -> Attack:
    store = sealed_copy(made)

    def flip(layer: Descriptor) -> Descriptor:
        if not is_sealed(layer) or layer.annotations[FILE_PATH] != "model.onnx":
            return layer
        content = bytearray(store.layout.read(layer, layer.size))
        content[len(content) // 2] ^= 1
        stored = store.layout.put(bytes(content), layer.media_type)
        return msgspec.structs.replace(layer, digest=stored.digest)

    return Attack(made.published.uri, forged(store, with_layers(flip)))


def from_another_path(made: World) -> Attack:
    """The other package's file of the same name and size: nothing but the seal tells them apart."""
    store = sealed_copy(made)
    seen: list[Descriptor] = []

    def swap(layer: Descriptor) -> Descriptor:
        if layer.annotations.get(FILE_PATH) != "calibration.safetensors":
            return layer
        seen.append(layer)
        return msgspec.structs.replace(layer, digest=seen[0].digest)

    return Attack(made.published.uri, forged(store, with_layers(swap)))


def key_of_another_release(made: World) -> Attack:
    foreign = Sealing(KEYS.data_key()[1])
    store = sealed_copy(made)

    def swap(descriptor: Descriptor, manifest: Manifest) -> Manifest:
        if manifest.artifact_type != SEALING_TYPE:
            return manifest
        return store.layout.read_manifest(put_sealing(store, foreign))

    return Attack(made.published.uri, forged(store, swap))


def key_of_another_vault(made: World) -> Attack:
    return Attack(made.published.uri, sealed_copy(made), keys=LocalKeys())


def no_key_configured(made: World) -> Attack:
    return Attack(made.published.uri, sealed_copy(made), keys=None)


def no_wrapped_key(made: World) -> Attack:
    return Attack(made.published.uri, forged(sealed_copy(made), lambda descriptor, manifest: None if manifest.artifact_type == SEALING_TYPE else manifest))


def two_wrapped_keys(made: World) -> Attack:
    store = sealed_copy(made)
    layout = store.layout
    (entry,) = layout.top().manifests
    index = layout.read_index(entry)
    written = layout.put_document(Index([*index.manifests, put_sealing(store, Sealing(KEYS.data_key()[1]))], index.artifact_type), oci.INDEX)
    layout.update(lambda entries: entries.__setitem__(0, replace_annotations(written, entry.annotations)))
    return Attack(made.published.uri, store)


def wrapped_key_that_is_none(made: World) -> Attack:
    store = sealed_copy(made)

    def swap(descriptor: Descriptor, manifest: Manifest) -> Manifest:
        if manifest.artifact_type != SEALING_TYPE:
            return manifest
        layer = store.layout.put(b'{"algorithm":"none","schema":"presage.sealing/v1","wrapped":"vault:v1:AAAAAAAAAAAAAAAAAAAAAAAA"}', SEALING_TYPE)
        return msgspec.structs.replace(manifest, layers=[layer])

    return Attack(made.published.uri, forged(store, swap))


def sealed_for_another_release(made: World) -> Attack:
    """Same packages, same data key wrapped with them, another release: the ciphertexts are bound to the first."""
    second = made.publish({"primary": parts(seed=41)})
    first = made.publish({"primary": parts(seed=41), "simpler": parts("incident-simpler", 42)})
    store, lent = seal(made, second, KEYS), seal(made, first, KEYS)
    layout, (entry,) = lent.layout, lent.layout.top().manifests
    index = layout.read_index(entry)
    sealing = next(descriptor for descriptor in index.manifests if descriptor.artifact_type == SEALING_TYPE)
    primary = next(descriptor for descriptor in index.manifests if descriptor.annotations["io.presage.role"] == "primary")
    for path in (layout.folder / "blobs" / "sha256").iterdir():
        store.layout.storage.write(f"blobs/sha256/{path.name}", path.read_bytes())

    def swap(descriptor: Descriptor, manifest: Manifest) -> Manifest:
        taken = {"primary": primary, "sealing": sealing}.get(descriptor.annotations["io.presage.role"])
        return layout.read_manifest(taken) if taken else manifest

    return Attack(second.uri, forged(store, swap))


def annotation_that_lies(made: World) -> Attack:
    """The plaintext's digest in the annotation names the package: another one names another package."""
    def lie(layer: Descriptor) -> Descriptor:
        return msgspec.structs.replace(layer, annotations=layer.annotations | {PLAIN_DIGEST: "sha256:" + "0" * 64}) if is_sealed(layer) else layer

    return Attack(made.published.uri, forged(sealed_copy(made), with_layers(lie)))


def size_that_lies(made: World) -> Attack:
    def lie(layer: Descriptor) -> Descriptor:
        return msgspec.structs.replace(layer, annotations=layer.annotations | {PLAIN_SIZE: "17"}) if is_sealed(layer) else layer

    return Attack(made.published.uri, forged(sealed_copy(made), with_layers(lie)))


def sealed_beyond_its_limit(made: World) -> Attack:
    def lie(layer: Descriptor) -> Descriptor:
        if not is_sealed(layer):
            return layer
        return msgspec.structs.replace(layer, size=(1 << 40) + 28, annotations=layer.annotations | {PLAIN_SIZE: str(1 << 40)})

    return Attack(made.published.uri, forged(sealed_copy(made), with_layers(lie)))


def sealed_contract(made: World) -> Attack:
    def hide(layer: Descriptor) -> Descriptor:
        if layer.annotations.get(FILE_PATH) != "contract.json":
            return layer
        marks = layer.annotations | {PLAIN_DIGEST: layer.digest, PLAIN_SIZE: str(layer.size)}
        return msgspec.structs.replace(layer, media_type=layer.media_type + "+encrypted", annotations=marks)

    return Attack(made.published.uri, forged(sealed_copy(made), with_layers(hide)))


def revoked(made: World) -> Attack:
    listed = msgspec.convert({"revoked": [{"digest": made.published.reference.digest, "because": "leaks"}]}, Revocations)
    return Attack(made.published.uri, sealed_copy(made), revocations=listed)


def unsigned(made: World) -> Attack:
    def strip(descriptor: Descriptor, manifest: Manifest) -> Manifest | None:
        return None if manifest.subject is not None else manifest

    return Attack(made.published.uri, forged(sealed_copy(made), strip))


def link_in_the_store(made: World) -> Attack:
    store = sealed_copy(made)
    for blob in list((store.layout.folder / "blobs" / "sha256").iterdir()):
        blob.rename(blob.with_suffix(".away"))
        blob.symlink_to(blob.with_suffix(".away"))
    return Attack(made.published.uri, store)


ATTACKS = {
    flipped: "encryption", from_another_path: "encryption", key_of_another_release: "encryption", key_of_another_vault: "encryption",
    no_key_configured: "encryption", no_wrapped_key: "encryption", two_wrapped_keys: "encryption", wrapped_key_that_is_none: "encryption",
    sealed_for_another_release: "encryption", annotation_that_lies: "file-digest", size_that_lies: "format", sealed_beyond_its_limit: "size",
    sealed_contract: "format", revoked: "revoked", unsigned: "signature", link_in_the_store: "format",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_sealed_release_that_was_tampered_with_is_refused_by_its_named_reason(made, tmp_path, attack):
    assert refusal(made, attack(made), tmp_path / "models").reason == ATTACKS[attack]


def test_the_copy_that_they_all_start_from_is_admitted(made, tmp_path):
    assert admit(made.published.uri, tmp_path / "models", sealed_copy(made), made.trust, keys=KEYS).uri == made.published.uri


def test_a_sealed_release_by_a_foreign_key_is_refused_before_a_key_is_asked_for(made, tmp_path):
    class Untouched(LocalKeys):
        def unwrap(self, wrapped: str) -> bytes:
            raise AssertionError("asked too early")

    attack = replace(Attack(made.published.uri, sealed_copy(made)), keys=Untouched())
    assert refusal(made, attack, tmp_path / "models", Trust.of([local_key(tmp_path / "keys").public])).reason == "signature"


def test_no_nonce_and_no_data_key_is_used_twice(made):
    nonces, wrapped = [], set()
    for store in (sealed_copy(made), sealed_copy(made)):
        fetched = store.fetch(made.published.reference)
        wrapped.add(fetched.sealed.sealing.wrapped)
        nonces += [read()[:12] for read in fetched.sealed.files.values()]
    assert len(wrapped) == 2
    assert len(set(nonces)) == len(nonces) >= 20


def test_any_changed_byte_of_a_sealed_file_is_refused(made):
    fetched = sealed_copy(made).fetch(made.published.reference)
    path, read = next((path, read) for path, read in fetched.sealed.files.items() if path.endswith("config.pbtxt"))
    for place in range(len(read())):
        content = bytearray(read())
        content[place] ^= 1
        changed = replace(fetched.sealed, files={path: lambda content=bytes(content): content})
        with pytest.raises(ArtifactRefused) as refused:
            changed.open(KEYS, str(made.published.reference.digest))
        assert refused.value.reason == "encryption"
