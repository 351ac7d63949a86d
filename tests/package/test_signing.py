"""Our check of a bundle and the model-signing library's own agree."""

from dataclasses import replace

import msgspec
import pytest
from builders.releases import parts
from model_signing import hashing, verifying

from presage.errors import ArtifactRefused
from presage.package.keys import Trust, local_key
from presage.package.package import build_package, read_package


@pytest.fixture
def signed(tmp_path):
    key = local_key(tmp_path / "keys")
    build_package(parts(), tmp_path / "incident", key)
    return tmp_path / "incident", Trust.of([key.public]), tmp_path / "keys" / "local.pub"


def library_accepts(folder, public) -> bool:
    files = hashing.Config().set_ignored_paths(paths=[folder / "model.sig"], ignore_git_paths=False)
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=public).set_hashing_config(files).verify(folder, folder / "model.sig")
    except Exception:
        return False
    return True


def we_accept(folder, trust) -> bool:
    try:
        read_package(folder, trust)
    except ArtifactRefused:
        return False
    return True


def test_both_accept_what_was_signed(signed):
    folder, trust, public = signed
    assert library_accepts(folder, public) and we_accept(folder, trust)


@pytest.mark.parametrize("name", ["model.onnx", "contract.json", "card.md", "calibration.safetensors", "model.sig"])
def test_both_refuse_a_changed_file(signed, name):
    folder, trust, public = signed
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert not library_accepts(folder, public) and not we_accept(folder, trust)


def test_both_refuse_a_missing_and_an_extra_file(signed):
    folder, trust, public = signed
    (folder / "trees.safetensors").write_bytes((folder / "calibration.safetensors").read_bytes())
    assert not library_accepts(folder, public) and not we_accept(folder, trust)
    (folder / "trees.safetensors").unlink()
    (folder / "metrics.json").unlink()
    assert not library_accepts(folder, public) and not we_accept(folder, trust)


def test_both_refuse_a_foreign_key(signed, tmp_path):
    folder, _, _ = signed
    other = local_key(tmp_path / "other")
    assert not library_accepts(folder, tmp_path / "other" / "local.pub") and not we_accept(folder, Trust.of([other.public]))


def test_a_package_is_signed_under_its_own_name_only(signed):
    folder, trust, _ = signed
    with pytest.raises(ArtifactRefused, match="made for 'incident'"):
        read_package(folder.rename(folder.with_name("other")), trust)


def test_the_same_parts_give_the_same_files(signed, tmp_path):
    folder, _, _ = signed
    again = tmp_path / "again" / "incident"
    build_package(parts(), again, local_key(tmp_path / "other"))
    names = {path.name for path in folder.iterdir()}
    assert names == {path.name for path in again.iterdir()}
    assert {name for name in names if (folder / name).read_bytes() != (again / name).read_bytes()} == {"model.sig"}


def test_a_model_that_does_not_fit_its_contract_is_not_packaged(tmp_path):
    made = parts()
    narrow = replace(made, contract=msgspec.structs.replace(made.contract, inputs=made.contract.inputs[:-1]))
    with pytest.raises(ArtifactRefused) as refused:
        build_package(narrow, tmp_path / "incident", local_key(tmp_path / "keys"))
    assert refused.value.reason == "contract" and not (tmp_path / "incident").exists()
