"""`presage release start`, `standing`, `revert` and `rollback` as they are typed: on a checkout, on a remote's branch, and by pull requests."""

import json

import pytest
from builders.forge import running_forge
from builders.repositories import ONE, THREE, TWO, copied, serving

from presage.cli import main
from presage.governance.audit import read_entries


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return serving(tmp_path_factory.mktemp("repository") / "main")


@pytest.fixture
def here(source, tmp_path):
    made = copied(source, tmp_path / "main")
    rollout = made.root / "policies" / "rollout.yaml"
    rollout.write_text(rollout.read_text().partition("freezes:")[0])  # the day this runs on is no claim of it
    made.commit("no freezes")
    return made


@pytest.fixture
def typed(here, tmp_path, capsys):
    """typed("start", …): exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["--state", str(tmp_path / "state"), "release", *words, "--repository", str(here.root)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def standing(typed, *words: str) -> dict:
    code, out, _ = typed("standing", *words, "-o", "json")
    assert code == 0
    return json.loads(out)


def test_a_release_is_started_looked_at_and_taken_back(typed, here, tmp_path):
    code, out, _ = typed("start", TWO, "--dry-run")
    assert code == 0 and "gets 5 percent" in out and "50 percent" in out and here.git("log", "--oneline").count("\n") == 2
    assert typed("start", TWO)[0] == 0
    found = standing(typed)
    assert (found["stable"], found["canary"], found["percent"]) == (ONE, TWO, 5)
    assert [step["step"] for step in found["steps"]] == ["start"]
    code, _, err = typed("start", THREE)
    assert code != 0 and "is on its way, at 5 percent" in err
    assert typed("revert", "--because", "somebody saw nonsense")[0] == 0
    assert standing(typed)["canary"] is None and "somebody saw nonsense" in here.git("log", "-1", "--format=%B")
    assert [(entry.kind, entry.facts["step"]) for entry in read_entries(tmp_path / "state" / "audit")] == [("released", "start"), ("released", "revert")]


def test_a_judge_of_the_plane_does_not_need_the_prediction_log_to_be_there_yet(typed, tmp_path):
    """It comes with the first request."""
    code, out, err = typed("judge", "--once", "--outcomes", str(tmp_path / "outcomes.ndjson"))
    assert code == 0 and "no release is on its way" in out, (out, err)


def test_it_goes_back_to_another_release_at_once(typed, here):
    code, out, _ = typed("rollback", "--to", TWO, "--because", "the network team asks", "-o", "json")
    assert code == 0 and json.loads(out)["step"] == "rollback" and standing(typed)["stable"] == TWO


@pytest.mark.long
def test_where_a_forge_keeps_the_branch_a_command_asks_and_says_where(typed, here, tmp_path):
    with running_forge(tmp_path, here) as forge:
        there = ("--push", str(forge.bare), "--forge", forge.url, "--forge-token", str(forge.token))
        code, out, _ = typed("start", TWO, *there)
        assert code == 0 and "http://forge/team/presage/pull/1 waits to be merged" in out
        assert standing(typed, "--push", str(forge.bare))["canary"] is None
        forge.merge(1)
        assert standing(typed, "--push", str(forge.bare))["canary"] == TWO and standing(typed)["canary"] is None
        code, out, _ = typed("revert", "--because", "no", *there, "-o", "json")
        assert code == 0 and json.loads(out)["commit"] == forge.git("rev-parse", "main")


def test_a_forge_without_a_remote_is_refused(typed, tmp_path):
    code, _, err = typed("start", TWO, "--forge", "https://forge.example/api/repos/team/presage")
    assert code == 2 and "--push" in err and "--forge-token" in err
