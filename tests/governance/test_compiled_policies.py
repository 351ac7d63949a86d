"""What is compiled from policies/ is what is committed, and nothing else lies in its folders."""

from pathlib import Path

import pytest
from builders.approvals import NOW, ROOT

from presage.governance.compiling import compile_policies, stale_files, write_files

GENERATED = "manifests/base/platform/generated"


@pytest.fixture(scope="module")
def files():
    return compile_policies(ROOT, NOW)


def test_what_is_committed_is_what_the_policies_say(files):
    assert stale_files(ROOT, files) == []


def test_a_file_that_the_policy_no_longer_gives_is_stale_and_goes(files, tmp_path):
    write_files(tmp_path, files)
    assert stale_files(tmp_path, files) == []
    left = tmp_path / GENERATED / "network" / "authorizationpolicy.former-client.yaml"
    left.write_text("kind: AuthorizationPolicy\n")
    edited = tmp_path / GENERATED / "network" / "networkpolicy.metrics.yaml"
    edited.write_text(edited.read_text().replace("9090", "8080"))
    assert stale_files(tmp_path, files) == sorted([left, edited])
    write_files(tmp_path, files)
    assert not left.exists()
    assert stale_files(Path(tmp_path), files) == []


