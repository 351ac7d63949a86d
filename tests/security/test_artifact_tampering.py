"""Whatever is done to a release on its way into a Pod, it is refused before a byte of it is parsed.

The corpus is ours: pickles in every disguise, archives, links, external data, changed, missing, foreign and swapped parts.
"""

import gzip
import io
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from builders.releases import World, contract, logistic, parts, policy, world
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from presage.errors import ArtifactRefused
from presage.package.gate import admit
from presage.package.keys import Trust, local_key
from presage.package.layout import read_folder
from presage.package.package import build_package
from presage.package.release import compose, verify_folder
from presage.package.store import ReleaseStore
from presage.package.verification import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> World:
    return world(tmp_path_factory.mktemp("tampering"))


@pytest.fixture(scope="module")
def clean(made) -> Path:
    return made.pod("clean", triton=True)


@pytest.fixture
def pod(clean, tmp_path) -> Path:
    return shutil.copytree(clean, tmp_path / "models")


def packages(pod: Path) -> list[Path]:
    return sorted((pod / "packages").iterdir())


def refusal(pod: Path, trust: Trust) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as refused:
        verify_folder(pod, trust)
    assert "\n" not in refused.value.message and refused.value.message.endswith(".")
    return refused.value


class Bomb:
    """What a malicious pickle is: running it makes a file."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, ("/nonexistent/presage-was-here",)


def pickles() -> dict[str, bytes]:
    objects = np.array([Bomb()], dtype=object)
    array, archive, zipped = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, objects, allow_pickle=True)
    np.savez(archive, a=objects)
    with zipfile.ZipFile(zipped, "w") as file:  # what torch.save writes
        file.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    plain = {f"pickle protocol {protocol}": pickle.dumps(Bomb(), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", b"\0" * 10_000_000)
    return plain | {
        "gzip pickle (joblib)": gzip.compress(plain["pickle protocol 4"]),
        "npy of objects": array.getvalue(),
        "npz of objects": archive.getvalue(),
        "torch archive": zipped.getvalue(),
        "zip bomb": bomb.getvalue(),
        "gzip bomb": gzip.compress(b"\0" * 10_000_000),
        "HDF5": b"\x89HDF\r\n\x1a\n" + b"\0" * 64,
        "ORT flat buffer": b"\x18\0\0\0ORTM" + b"\0" * 64,
        "pickle inside a safetensors frame": (8).to_bytes(8, "little") + b'{"a":1} ' + plain["pickle protocol 2"],
        "pickle behind an ONNX head": logistic(3).SerializeToString()[:40] + plain["pickle protocol 4"],
    }


@pytest.mark.parametrize("disguise", pickles())
@pytest.mark.parametrize("name", ["model.onnx", "calibration.safetensors", "contract.json", "model.sig"])
def test_a_pickle_or_archive_in_any_disguise_is_refused_by_its_format(pod, made, disguise, name):
    (packages(pod)[0] / name).write_bytes(pickles()[disguise])
    assert refusal(pod, made.trust).reason == "format"


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pt", "model.bin", "weights.bin", "handler.py", "model.onnx.data", "model.ort", ".hidden"])
def test_a_file_that_is_not_on_the_list_is_refused(pod, made, name):
    (packages(pod)[0] / name).write_bytes(b"\x80\x04.")
    assert refusal(pod, made.trust).reason == "format"


def large_initializer() -> bytes:
    model = logistic(6)
    model.graph.initializer.append(TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[1 << 40], raw_data=b"\0"))
    return model.SerializeToString()


def external_initializer(location: str) -> bytes:
    model = logistic(6)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location=location)
    return model.SerializeToString()


OUTSIDE = ["weights.bin", "../../../etc/shadow", "*/_ORT_MEM_ADDR_/*"]


@pytest.mark.parametrize("content", [*map(external_initializer, OUTSIDE), large_initializer()])
def test_onnx_that_reaches_outside_or_blows_up_is_refused_by_its_format(pod, made, content):
    (packages(pod)[0] / "model.onnx").write_bytes(content)
    assert refusal(pod, made.trust).reason == "format"


def test_a_file_beyond_its_limit_is_refused_unread(pod, made):
    os.truncate(packages(pod)[0] / "card.md", 1 << 40)  # sparse: reading it would take all memory
    assert refusal(pod, made.trust).reason == "size"


def symlinked_file(pod: Path) -> None:
    model = packages(pod)[0] / "model.onnx"
    model.rename(pod.parent / "elsewhere.onnx")
    model.symlink_to(pod.parent / "elsewhere.onnx")


def symlinked_folder(pod: Path) -> None:
    shutil.move(packages(pod)[0], pod.parent / "elsewhere")
    (pod / "packages" / ("0" * 64)).symlink_to(pod.parent / "elsewhere")


def hard_link(pod: Path) -> None:
    os.link(packages(pod)[0] / "model.onnx", pod.parent / "other-name.onnx")


def device(pod: Path) -> None:
    (packages(pod)[0] / "card.md").unlink()
    os.mkfifo(packages(pod)[0] / "card.md")


def stray_folder(pod: Path) -> None:
    (pod / "packages" / "..data").mkdir()


@pytest.mark.parametrize("tamper", [symlinked_file, symlinked_folder, hard_link, device, stray_folder])
def test_links_devices_and_stray_folders_are_refused(pod, made, tamper):
    tamper(pod)
    assert refusal(pod, made.trust).reason == "format"


def other_release(made: World) -> Path:
    folder = made.root / "other-pod"
    if not folder.exists():
        published = made.publish({"primary": parts(seed=21), "simpler": parts("incident-simpler", 22)})
        admit(published.uri, folder, made.store, made.trust)
    return folder


def swap_between_members(pod: Path, made: World) -> None:
    one, two = (folder / "model.onnx" for folder in packages(pod))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)


def swap_folders(pod: Path, made: World) -> None:
    one, two = packages(pod)
    one.rename(pod / "held"), two.rename(one), (pod / "held").rename(two)


def swap_bundles(pod: Path, made: World) -> None:
    one, two = (folder / "model.sig" for folder in packages(pod))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second), two.write_bytes(first)


def swap_trees_in(pod: Path, made: World) -> None:
    shutil.copy(packages(pod)[0] / "calibration.safetensors", packages(pod)[0] / "trees.safetensors")


def another_package_beside(pod: Path, made: World) -> None:
    for folder in packages(other_release(made)):
        shutil.copytree(folder, pod / "packages" / folder.name)


def another_signature(pod: Path, made: World) -> None:
    shutil.copy(other_release(made) / "release.dsse.json", pod / "release.dsse.json")


def another_document(pod: Path, made: World) -> None:
    shutil.copy(other_release(made) / "release.json", pod / "release.json")


def edited_document(pod: Path, made: World) -> None:
    content = (pod / "release.json").read_bytes()
    (pod / "release.json").write_bytes(content.replace(b'"page":0.6', b'"page":0.9'))


def bundle_signed_again(pod: Path, made: World) -> None:
    """By the trusted key itself, over the same files: still not the bundle that the release was signed with."""
    build_package(parts(), made.root / "again" / "incident", made.key)
    (primary,) = [folder for folder in packages(pod) if b'"incident"' in (folder / "config.pbtxt").read_bytes()]
    shutil.copy(made.root / "again" / "incident" / "model.sig", primary / "model.sig")


def other_model_for_triton(pod: Path, made: World) -> None:
    (pod / "triton" / "incident" / "1" / "model.onnx").write_bytes(logistic(6, seed=99).SerializeToString())


def model_for_triton_alone(pod: Path, made: World) -> None:
    shutil.copytree(pod / "triton" / "incident", pod / "triton" / "backdoor")


MIX_UPS = {
    swap_between_members: "file-digest", swap_folders: "signature", swap_bundles: "signature", swap_trees_in: "file-digest",
    another_package_beside: "file-digest", another_signature: "signature", another_document: "signature", edited_document: "signature",
    bundle_signed_again: "signature", other_model_for_triton: "file-digest", model_for_triton_alone: "file-digest",
}  # fmt: skip


@pytest.mark.parametrize("tamper", MIX_UPS)
def test_parts_from_elsewhere_are_refused(pod, made, tamper):
    tamper(pod, made)
    assert refusal(pod, made.trust).reason == MIX_UPS[tamper]


def test_every_file_is_needed(pod, made):
    optional = {path for path in read_folder(pod) if path.startswith("triton/")}
    for path in sorted(read_folder(pod).keys() - optional):
        content = (pod / path).read_bytes()
        (pod / path).unlink()
        assert refusal(pod, made.trust).reason in {"format", "signature", "file-digest"}
        (pod / path).write_bytes(content)
    assert verify_folder(pod, made.trust)


def test_every_file_is_needed_to_its_last_byte(pod, made):
    for path, content in read_folder(pod).items():
        for cut in (content[:-1], content[: len(content) // 2], b"", content + b"\n"):
            (pod / path).write_bytes(cut)
            refusal(pod, made.trust)
        (pod / path).write_bytes(content)
    assert verify_folder(pod, made.trust)


def test_any_single_changed_bit_is_refused(clean, made):
    contents = read_folder(clean)
    paths = sorted(contents)

    @settings(max_examples=400, deadline=None)
    @given(st.sampled_from(paths), st.integers(0, 1 << 40), st.integers(0, 7))
    def changed(path, place, bit):
        content = bytearray(contents[path])
        content[place % len(content)] ^= 1 << bit
        with pytest.raises(ArtifactRefused):
            verify(contents | {path: bytes(content)}, made.trust)

    changed()
    assert verify(contents, made.trust)


def test_every_byte_of_both_signatures_matters(clean, made):
    contents = read_folder(clean)
    for path in [path for path in contents if path.endswith((".sig", ".dsse.json"))]:
        for place in range(0, len(contents[path]), 3):
            content = bytearray(contents[path])
            content[place] ^= 1
            with pytest.raises(ArtifactRefused):
                verify(contents | {path: bytes(content)}, made.trust)


def test_a_release_by_a_foreign_key_is_refused_though_whole(made, tmp_path):
    stranger = world(tmp_path)
    with pytest.raises(ArtifactRefused) as refused:
        admit(stranger.published.uri, tmp_path / "models", stranger.store, made.trust)
    assert refused.value.reason == "signature"
    assert list((tmp_path / "models").iterdir()) == []


def test_a_package_by_a_foreign_key_in_a_trusted_release_is_refused(made, tmp_path):
    """Whoever composes with the trusted key still cannot bring in a model that a stranger signed."""
    stranger = local_key(tmp_path / "keys")
    build_package(parts(seed=31), tmp_path / "incident", stranger)
    store = ReleaseStore(tmp_path / "releases")
    stored = store.add(tmp_path / "incident", Trust.of([stranger.public]))
    published = store.publish(compose("incident", {"primary": stored}, policy(), 0.05), {"primary": stored}, made.key)
    with pytest.raises(ArtifactRefused) as refused:
        admit(published.uri, tmp_path / "models", store, made.trust)
    assert refused.value.reason == "signature"


def test_a_member_of_another_question_is_refused(tmp_path):
    """A simpler member with another contract would answer something else on the ladder's next rung."""
    made = world(tmp_path)
    other = replace(parts("incident-simpler", 8), contract=msgspec.structs.replace(contract(), horizon="6h"))
    published = made.publish({"primary": parts(), "simpler": other})
    with pytest.raises(ArtifactRefused) as refused:
        admit(published.uri, tmp_path / "models", made.store, made.trust)
    assert refused.value.reason == "contract"
