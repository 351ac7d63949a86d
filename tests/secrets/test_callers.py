"""Certificates of clients: a new one beside the old one, a lost one refused; the commands on a running OpenBao."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema_rs
import pytest
from builders.openbao import OpenBao
from cryptography import x509

from inference.clients.revocations import parse_revocations
from presage.cli import main
from presage.errors import InputError
from presage.secrets import callers
from presage.secrets.answers import delete, read, write
from presage.secrets.errors import ConfigurationRefused, SecretMissing

OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
NOW = datetime.now(UTC).timestamp()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with OpenBao.started(tmp_path_factory.mktemp("openbao"), raft=False) as started:
        started.configure()
        yield started


@pytest.fixture
def vault(server):
    client = server.root()
    delete(client, callers.LIST.replace("/data/", "/metadata/"))
    return client


def issued(vault, identity=OPERATORS, hours=1):
    made = callers.issue_for(vault, identity, timedelta(hours=hours))
    return x509.load_pem_x509_certificate(made.certificate.encode())


def as_predictors_read_it(vault):
    return parse_revocations(read(vault, callers.LIST)["data"][callers.KEY].encode(), "list")


def test_what_is_written_is_what_predictors_read(vault):
    old, lost = issued(vault), issued(vault)
    callers.end(vault, [old], at=NOW + 60, because="rotated", now=NOW)
    callers.end(vault, [lost], at=NOW, because="laptop stolen", now=NOW)
    found = as_predictors_read_it(vault)
    assert found.effective(NOW) == {callers.fingerprint(lost)}
    assert found.effective(NOW + 60) == {callers.fingerprint(lost), callers.fingerprint(old)}
    assert {(line.client, line.because) for line in found.certificates} == {(OPERATORS, "rotated"), (OPERATORS, "laptop stolen")}


def test_only_what_ends_at_once_is_revoked_at_its_authority(vault):
    old, lost = issued(vault), issued(vault)
    callers.end(vault, [old], at=NOW + 60, because="rotated", now=NOW)
    callers.end(vault, [lost], at=NOW, because="stolen", now=NOW)
    state = {name: read(vault, f"pki-edge/cert/{callers.serial(found)}")["revocation_time"] for name, found in (("old", old), ("lost", lost))}
    assert state["old"] == 0 and state["lost"] > 0


def test_an_end_can_come_sooner_and_never_later(vault):
    found = issued(vault)
    for at, holds in ((600.0, 600.0), (60.0, 60.0), (900.0, 60.0)):
        [line] = callers.end(vault, [found], at=NOW + at, because="x", now=NOW)
        assert line.since == NOW + holds


def test_lines_go_when_their_certificates_have_ended(vault):
    callers.end(vault, [issued(vault, hours=1)], at=NOW, because="x", now=NOW)
    callers.end(vault, [issued(vault, hours=48)], at=NOW, because="y", now=NOW)
    callers.end(vault, [], at=NOW, because="", now=NOW + 2 * 3600)
    assert [line.because for line in callers.ended(vault)] == ["y"]


def test_a_list_that_somebody_else_wrote_in_between_is_not_lost(vault, monkeypatch):
    """The version that was read is the one that is replaced, or it is read again."""
    first, second = issued(vault), issued(vault)
    reading, interrupted = callers._read, []

    def read_then_be_overtaken(client):
        found = reading(client)
        if not interrupted:
            interrupted.append(True)
            callers.end(vault, [second], at=NOW + 60, because="theirs", now=NOW)
        return found

    monkeypatch.setattr(callers, "_read", read_then_be_overtaken)
    callers.end(vault, [first], at=NOW + 60, because="ours", now=NOW)
    assert {line.because for line in callers.ended(vault)} == {"ours", "theirs"}


def test_an_empty_list_is_begun_once_and_never_written_over(vault):
    callers.begin(vault, NOW)
    assert callers.ended(vault) == [] and as_predictors_read_it(vault).certificates == ()
    callers.end(vault, [issued(vault)], at=NOW + 60, because="x", now=NOW)
    callers.begin(vault, NOW)
    assert len(callers.ended(vault)) == 1


def test_all_certificates_of_a_client_are_found_and_nobody_elses(vault):
    identity = "spiffe://cluster.local/ns/clients/sa/many"
    made = {callers.fingerprint(issued(vault, identity)) for _ in range(3)}
    issued(vault)
    assert {callers.fingerprint(found) for found in callers.certificates_of(vault, identity, NOW)} == made
    with pytest.raises(SecretMissing, match=r"has issued no certificate of spiffe://cluster.local/ns/clients/sa/nobody"):
        callers.certificates_of(vault, "spiffe://cluster.local/ns/clients/sa/nobody", NOW)


def test_a_list_that_is_none_is_said_and_not_written_over(vault):
    write(vault, callers.LIST, {"data": {callers.KEY: "[]"}})
    with pytest.raises(ConfigurationRefused, match="holds no list of revoked certificates"):
        callers.end(vault, [issued(vault)], at=NOW, because="x", now=NOW)


def test_a_file_without_a_certificate_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tls\.crt: no certificate in PEM"):
        callers.parse_certificate(b"nothing", "tls.crt")


@pytest.fixture
def presage(server, vault, tmp_path, capsys, monkeypatch):
    """The command line, asked as an operator: exit code and, with -o json, what it printed, checked against its schema."""
    token = tmp_path / "operator.token"
    token.write_text(vault.token)

    def run(*arguments: str):
        code = main([*arguments, "--address", server.address, "--ca", str(server.ca), "--token-file", str(token), "-o", "json"])
        said = capsys.readouterr()
        if code:
            return code, said.err
        document = json.loads(said.out.splitlines()[-1])
        schema = json.loads((SCHEMAS / f"{arguments[0]}-{arguments[1]}.json").read_text())
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(document)
        return code, document

    return run


def test_rotating_leaves_the_old_certificate_good_for_the_overlap(presage, tmp_path):
    folder = tmp_path / "operators"
    code, first = presage("access", "rotate", "operators", "--to", str(folder))
    assert (code, first["replaced"]) == (0, [])
    assert stat.S_IMODE((folder / "tls.key").stat().st_mode) == 0o600
    code, second = presage("access", "rotate", "operators", "--to", str(folder), "--overlap", "2h")
    assert code == 0 and second["sha256"] != first["sha256"]
    [replaced] = second["replaced"]
    ahead = datetime.fromisoformat(replaced["from"]) - datetime.now(UTC)
    assert replaced["sha256"] == first["sha256"] and timedelta(minutes=119) < ahead <= timedelta(hours=2)
    assert presage("access", "revoked")[1]["revoked"] == second["replaced"]
    lives = datetime.fromisoformat(second["until"]) - datetime.now(UTC)
    assert timedelta(days=29) < lives <= timedelta(days=30)  # as policies/access.yaml says


@pytest.mark.parametrize("by", ["certificate", "serial", "client"])
def test_a_lost_certificate_is_named_by_file_number_or_client(presage, vault, tmp_path, by):
    _, made = presage("access", "rotate", "status-page", "--to", str(tmp_path / "status-page"))
    found = callers.parse_certificate((tmp_path / "status-page" / "tls.crt").read_bytes(), "tls.crt")
    named = {"certificate": str(tmp_path / "status-page" / "tls.crt"), "serial": callers.serial(found), "client": "status-page"}
    code, document = presage("access", "revoke", f"--{by}", named[by], "--because", "found in a log")
    assert code == 0 and made["sha256"] in {line["sha256"] for line in document["revoked"]}
    assert callers.fingerprint(found) in as_predictors_read_it(vault).effective(datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("revoke", "--because", "x"), 2, "one of --certificate FILE, --serial NUMBER, --client NAME"),
        (("revoke", "--client", "operators", "--serial", "1", "--because", "x"), 2, "one of"),
        (("revoke", "--client", "operators"), 2, "say why"),
        (("revoke", "--client", "nobody", "--because", "x"), 1, "no client is named 'nobody'"),
        (("revoke", "--certificate", "none.crt", "--because", "x"), 1, "cannot be read"),
        (("revoke", "--serial", "00:11", "--because", "x"), 1, "pki-edge/cert/00:11"),
        (("rotate", "checkout", "--to", "folder"), 1, "is of the mesh"),
    ],
)
def test_what_cannot_be_done_is_said(presage, arguments, code, words):
    got, said = presage("access", *arguments)
    assert got == code and words in " ".join(said.split())


def test_another_client_s_certificate_is_not_replaced_by_mistake(presage, tmp_path):
    folder = str(tmp_path / "mixed")
    presage("access", "rotate", "status-page", "--to", folder)
    code, said = presage("access", "rotate", "operators", "--to", folder)
    assert code == 1 and "is a certificate of spiffe://cluster.local/ns/clients/sa/status-page, not of" in " ".join(said.split())
