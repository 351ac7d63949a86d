"""`presage release …` and `presage model import` as they are typed."""

import json
import shutil

import pytest
from builders.releases import POLICY, calibration, contract, copied, logistic, parts, world

from presage.cli import main
from presage.package.gate import admit
from presage.package.keys import Trust
from presage.package.store import ReleaseStore
from presage.state import State


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return world(tmp_path_factory.mktemp("first"))


@pytest.fixture
def made(first, tmp_path, monkeypatch):
    """A state directory with one release, as `presage run` leaves it."""
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name in ("PRESAGE_VAULT_ADDRESS", "PRESAGE_S3_CREDENTIALS", "PRESAGE_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    shutil.rmtree(first.root / "made", ignore_errors=True)
    return copied(first, State.open(tmp_path / "state").root)


def printed(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 0, capsys.readouterr().err
    return capsys.readouterr().out.splitlines()[-1]


def said(capsys, *arguments: str, code: int = 1) -> str:
    assert main([*arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("named", ["incident", "incident:local", "incident:1", "presage://incident:local"])
def test_publish_prints_the_uri_for_git_on_its_last_line(made, tmp_path, capsys, named):
    uri = printed(capsys, "release", "publish", named, "--to", str(tmp_path / "target"), "--no-seal")
    assert uri == made.published.uri
    assert json.loads(printed(capsys, "release", "publish", uri, "--to", str(tmp_path / "target"), "--no-seal", "-o", "json")) == {"uri": uri}
    assert admit(uri, tmp_path / "models", ReleaseStore(tmp_path / "target"), made.trust).uri == uri


def test_without_a_vault_nothing_is_published_in_the_clear_by_mistake(made, tmp_path, capsys):
    assert "PRESAGE_VAULT_ADDRESS is not set" in said(capsys, "release", "publish", "incident", "--to", str(tmp_path / "target"), code=2)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["release", "publish", "Incident", "--to", "x", "--no-seal"], 2, "'Incident' is no release"),
    (["release", "publish", "incident:0", "--to", "x", "--no-seal"], 2, "'incident:0' is no release"),
    (["release", "publish", "other", "--to", "x", "--no-seal"], 1, "holds no release of other"),
    (["release", "publish", "incident:9", "--to", "x", "--no-seal"], 1, "(it has: 1)"),
    (["release", "publish", "incident", "--to", "s3://releases", "--no-seal"], 1, "PRESAGE_S3_CREDENTIALS is not set"),
    (["release", "publish", "incident", "--to", "ftp://releases", "--no-seal"], 1, "is no release store"),
    (["release", "publish", "incident", "--to", "x", "--no-seal", "--key", "absent.key"], 1, "absent.key: the signing key cannot be read"),
    (["release", "show", "presage://incident:1"], 1, "is a tag, which can be moved"),
    (["release", "show", "incident", "--store", "absent"], 1, "absent holds no release of incident"),
    (["release", "rewrap", "x"], 2, "PRESAGE_VAULT_ADDRESS is not set"),
    (["release", "compose", "Incident", "--primary", "incident"], 2, "'Incident' is no name of a release"),
    (["release", "compose", "incident", "--primary", "incident", "--policy", "absent.yaml"], 1, "absent.yaml: there is no model policy here"),
])  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(made, capsys, arguments, code, says):
    assert says in said(capsys, *arguments, code=code)


def test_show_says_what_is_in_it_who_signed_and_whether_it_is_sealed(made, capsys):
    shown = json.loads(printed(capsys, "release", "show", "incident", "-o", "json"))
    assert (shown["uri"], shown["tier"], shown["sealed"], shown["key_version"]) == (made.published.uri, "low", False, None)
    assert shown["signer"] == {"key": made.key.id, "owner": "local", "refused": None}
    assert [(member["role"], member["model"]) for member in shown["members"]] == [("primary", "incident"), ("simpler", "incident-simpler")]
    assert all(member["bytes"] > 1000 and "model.onnx" in member["files"] for member in shown["members"])
    main(["release", "show", made.published.uri])
    table = capsys.readouterr().out
    assert all(words in table for words in (made.published.uri, f"local {made.key.id[:16]}", "primary → simpler → rules → default", "sealed    no"))


def test_show_says_what_the_gate_would_say_of_a_stranger_s_release(made, tmp_path, capsys):
    stranger = world(tmp_path / "stranger")
    shown = json.loads(printed(capsys, "release", "show", "incident", "--store", str(stranger.root / "releases"), "-o", "json"))
    assert (shown["signer"]["key"], shown["signer"]["owner"]) == (stranger.key.id, None)
    assert shown["signer"]["refused"].startswith("signature: release.dsse.json is signed by key")


def test_compose_from_what_was_packaged(made, capsys):
    made.package(parts(seed=9))
    options = ["--policy", str(POLICY), "--default-risk", "0.1"]
    uri = printed(capsys, "release", "compose", "incident", "--primary", "incident-simpler", *options)
    assert uri.startswith("presage://incident:2@sha256:")
    assert printed(capsys, "release", "compose", "incident", "--primary", "incident-simpler", *options) == uri
    assert printed(capsys, "release", "compose", "incident", "--primary", "incident-simpler", *options, "--version", "9").startswith("presage://incident:9@")


def test_a_foreign_model_all_the_way_to_a_pod(made, tmp_path, capsys):
    (tmp_path / "vendor.onnx").write_bytes(logistic(len(contract().inputs), 5).SerializeToString())
    (tmp_path / "contract.json").write_bytes(contract().to_json())
    (tmp_path / "calibration.safetensors").write_bytes(calibration().to_bytes())
    files = ["--contract", str(tmp_path / "contract.json")]
    assert "comes without calibration" in said(capsys, "model", "import", str(tmp_path / "vendor.onnx"), *files)
    files += ["--calibration", str(tmp_path / "calibration.safetensors"), "-o", "json"]
    package = json.loads(printed(capsys, "model", "import", str(tmp_path / "vendor.onnx"), *files))["package"]
    members = ["--primary", package, "--simpler", "incident-simpler"]
    uri = printed(capsys, "release", "compose", "incident", *members, "--policy", str(POLICY), "--default-risk", "0.1")
    target = str(tmp_path / "target")
    assert printed(capsys, "release", "publish", uri, "--to", target, "--no-seal") == uri
    release = admit(uri, tmp_path / "models", ReleaseStore.open(target, {}), Trust.open(made.root / "keys"))
    assert (release.primary.model, release.primary.member.family) == ("vendor", "imported")
