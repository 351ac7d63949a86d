"""The gate as the storage container runs it: a process with two arguments and an environment."""

import subprocess
import sys

import pytest
from builders.releases import parts, policy, world

from presage.errors import ArtifactRefused, StateError
from presage.files import write_json
from presage.package.gate import admit
from presage.package.keys import SigningKey, Trust, TrustedKey
from presage.package.release import verify_folder
from presage.package.revocation import Revocations


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory.mktemp("gate"))


def gate(made, uri, target, **settings):
    environment = {"PRESAGE_RELEASE_STORE": str(made.root / "releases"), "PRESAGE_TRUST_KEYS": str(made.root / "keys"), **settings}
    program = [sys.executable, "-m", "presage.package.gate", uri, str(target)]
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_admitted_release_lies_in_the_target_and_verifies_again(made, tmp_path):
    done = gate(made, made.published.uri, tmp_path / "models")
    assert (done.returncode, done.stderr) == (0, "")
    assert made.published.uri in done.stdout
    assert verify_folder(tmp_path / "models", made.trust, made.published.uri).uri == made.published.uri


def test_a_refusal_is_one_sentence_an_empty_target_and_a_termination_message(made, tmp_path):
    target = made.pod("refused")
    wrong = made.published.uri[:-1] + ("0" if made.published.uri[-1] != "0" else "1")
    done = gate(made, wrong, target, PRESAGE_TERMINATION_LOG=str(tmp_path / "termination-log"))
    assert done.returncode == 1
    assert done.stderr.startswith("refused [digest]: ") and done.stderr.count("\n") == 1
    assert (tmp_path / "termination-log").read_text() == done.stderr.strip()
    assert list(target.iterdir()) == []


def test_local_is_bound_to_the_last_release_where_it_is_allowed(made, tmp_path):
    assert gate(made, "presage://incident:local", tmp_path / "models").returncode == 1
    done = gate(made, "presage://incident:local", tmp_path / "models", PRESAGE_ALLOW_LOCAL="1")
    assert made.published.uri in done.stdout


def test_a_triton_repository_is_laid_out_for_the_gpu_family(made):
    folder = made.pod("triton", triton=True)
    assert 'name: "incident"' in (folder / "triton" / "incident" / "config.pbtxt").read_text()
    assert (folder / "triton" / "incident" / "1" / "model.onnx").read_bytes() == parts().onnx
    assert verify_folder(folder, made.trust).uri == made.published.uri


def test_a_folder_that_holds_something_else_is_left_alone(made, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    with pytest.raises(StateError, match=r"thesis\.txt"):
        admit(made.published.uri, tmp_path, made.store, made.trust)
    assert (tmp_path / "thesis.txt").read_text() == "three years"


@pytest.mark.parametrize(("arguments", "code", "says"), [
    (["presage://incident:local", "models"], 1, "PRESAGE_RELEASE_STORE is not set"), ([], 2, "URI TARGET"),
])
def test_a_missing_setting_and_a_wrong_call_are_said(tmp_path, arguments, code, says):
    program = [sys.executable, "-m", "presage.package.gate", *arguments]
    done = subprocess.run(program, env={}, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (code, True, False)


def test_a_full_volume_leaves_nothing_behind(made, tmp_path):
    program = 'ulimit -f 1; exec "$0" -m presage.package.gate "$1" "$2"'
    environment = {"PRESAGE_RELEASE_STORE": str(made.root / "releases"), "PRESAGE_TRUST_KEYS": str(made.root / "keys"), "PYTHONDONTWRITEBYTECODE": "1"}
    target = tmp_path / "models"
    command = ["/bin/sh", "-c", program, sys.executable, made.published.uri, str(target)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "cannot be written" in done.stderr and done.stderr.count("\n") == 1
    assert list(target.iterdir()) == []


def test_a_revoked_release_or_package_is_refused(made, tmp_path):
    for digest in (made.published.reference.digest, made.published.document.members[1].package):
        write_json(tmp_path / "revoked.json", {"schema": "presage.revocations/v1", "revoked": [{"digest": digest, "because": "trained on leaked labels"}]})
        done = gate(made, made.published.uri, tmp_path / "models", PRESAGE_REVOCATIONS=str(tmp_path / "revoked.json"))
        assert done.returncode == 1 and "[revoked]" in done.stderr and "trained on leaked labels" in done.stderr


def test_a_revocation_list_that_cannot_be_read_refuses_everything(made, tmp_path):
    done = gate(made, made.published.uri, tmp_path / "models", PRESAGE_REVOCATIONS=str(tmp_path / "absent.json"))
    assert done.returncode == 1 and "[revoked]" in done.stderr
    (tmp_path / "broken.json").write_text('{"revoked": "none"}')
    with pytest.raises(ArtifactRefused):
        Revocations.open(tmp_path / "broken.json")


@pytest.mark.parametrize(("owner", "says"), [("local", "local key"), ("release", "no approvals are known here")])
def test_a_tier_above_low_is_refused(tmp_path, owner, says):
    made = world(tmp_path)
    published = made.publish({"primary": parts(seed=3)}, by=policy().model_copy(update={"risk_tier": "medium"}))
    key: SigningKey = made.key
    with pytest.raises(ArtifactRefused, match=says) as refused:
        admit(published.uri, tmp_path / "models", made.store, Trust.of([TrustedKey(owner, key.public.public)]))
    assert refused.value.reason == "approval"
    assert list((tmp_path / "models").iterdir()) == []


def test_the_gate_and_the_offline_check_pull_in_no_library_that_can_unpickle():
    program = (
        "import sys; import presage.package.gate, presage.package.trees, presage.package.treeshap, presage.package.contract; "
        "heavy = {'joblib','dill','cloudpickle','torch','sklearn','skops','mlflow','pandas','onnx','lightgbm','model_signing','sigstore','pydantic'}; "
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
