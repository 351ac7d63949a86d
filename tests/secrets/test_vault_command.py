"""`presage vault apply` as an operator runs it."""

import json

import pytest
from builders.openbao import MANIFESTS, OpenBao

from presage.cli import main
from presage.secrets import openbao as process
from presage.secrets.answers import write


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with OpenBao.started(tmp_path_factory.mktemp("openbao"), raft=False) as started:
        (started.folder / "token").write_text(process.read_keys(started.keys_file).root_token + "\n")
        (started.folder / "keys.json.public").write_bytes(started.issuer.jwks)
        yield started


@pytest.fixture
def apply(server, monkeypatch):
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    monkeypatch.delenv("VAULT_ADDR", raising=False)

    def run(*options):
        where = ["--address", server.address, "--ca", str(server.ca), "--token-file", str(server.folder / "token")]
        given = ["--domain", "presage.local", "--jwt-keys", str(server.folder / "keys.json.public"), "--folder", str(MANIFESTS)]
        return main(["vault", "apply", *where, *given, *options])

    return run


def test_a_dry_run_says_what_would_change_and_a_second_run_that_nothing_does(apply, server, capsys):
    assert apply("--dry-run") == 1
    told = capsys.readouterr()
    assert [line.split() for line in told.out.splitlines()][:3] == [["OBJECT", "ACTION", "WHAT"], ["audit/stdout", "unchanged"], ["mount/kv", "create"]]
    assert "would change" in told.err
    assert "kv/" not in server.root().sys.list_mounted_secrets_engines()["data"]

    assert apply("--confirm") == 0
    assert "made so" in capsys.readouterr().err
    assert apply("--dry-run") == 0
    assert "nothing to do: 26 compared" in capsys.readouterr().err
    assert apply("--confirm", "-o", "json") == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {change["action"] for change in document["changes"]} == {"unchanged"}


def test_strangers_are_named_and_only_pruned_on_demand(apply, server, capsys):
    apply("--confirm")
    write(server.root(), "pki-edge/roles/stranger", {"allow_any_name": True})
    assert apply("--confirm") == 0
    told = capsys.readouterr()
    assert "--prune removes it" in told.out
    assert "1 that the folder does not know" in told.err
    assert apply("--confirm", "--prune") == 0
    assert apply("--dry-run") == 0


def test_no_token_ever_reaches_the_screen(apply, server, capsys):
    apply("--confirm")
    apply("--confirm", "-o", "json")
    told = capsys.readouterr()
    assert (server.folder / "token").read_text().strip() not in told.out + told.err


def test_a_token_from_the_environment_does_as_well(server, monkeypatch, capsys):
    monkeypatch.setenv("VAULT_TOKEN", (server.folder / "token").read_text())
    monkeypatch.setenv("VAULT_ADDR", server.address)
    monkeypatch.setenv("VAULT_CACERT", str(server.ca))
    keys = str(server.folder / "keys.json.public")
    assert main(["vault", "apply", "--confirm", "--domain", "presage.local", "--jwt-keys", keys, "--folder", str(MANIFESTS)]) == 0


WRONG = {
    "neither": ((), "say either --dry-run or --confirm"),
    "both": (("--dry-run", "--confirm"), "say either --dry-run or --confirm"),
    "two sources of keys": (("--dry-run", "--jwks-url", "https://x"), "exclude each other"),
    "a token that is not there": (("--dry-run", "--token-file", "/nowhere/token"), "the token cannot be read"),
    "a token on the command line": (("--dry-run", "--token", "s.x"), "No such option"),
}


@pytest.mark.parametrize(("options", "sentence"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_command_line_is_exit_2(apply, capsys, options, sentence):
    assert apply(*options) == 2
    assert sentence in capsys.readouterr().err


def test_without_a_token_or_an_address_they_are_asked_for(monkeypatch, capsys):
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert main(["vault", "apply", "--dry-run", "--folder", str(MANIFESTS)]) == 2
    assert "Give --address https://HOST:PORT, or set VAULT_ADDR" in capsys.readouterr().err
    assert main(["vault", "apply", "--dry-run", "--address", "https://127.0.0.1:1", "--folder", str(MANIFESTS)]) == 2
    assert "Give --token-file FILE, or set VAULT_TOKEN" in capsys.readouterr().err


def test_a_vault_that_is_out_and_a_token_that_does_not_count_are_exit_1_and_a_sentence(apply, server, tmp_path, capsys):
    assert apply("--dry-run", "--address", "https://127.0.0.1:1") == 1
    assert "nobody answers at https://127.0.0.1:1" in capsys.readouterr().err
    (tmp_path / "token").write_text("s.nonsense")
    assert apply("--dry-run", "--token-file", str(tmp_path / "token")) == 1
    assert "the Vault token is unknown, revoked or over. Log in again." in capsys.readouterr().err


def test_a_conflict_is_exit_1_and_changes_nothing(server, apply, capsys):
    apply("--confirm")
    root = server.root()
    root.sys.disable_secrets_engine("kv")
    root.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    assert apply("--dry-run") == 1
    assert "conflict" in capsys.readouterr().out
    assert apply("--confirm") == 1
    assert "mount/kv: version: 1 → 2; delete it by hand" in capsys.readouterr().err
