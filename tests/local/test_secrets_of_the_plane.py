"""Secrets, tokens and first certificates of the plane: made once, shown whole, renewed before they end."""

import json
import ssl
import threading

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from planes import claim, config_map

from presage.errors import PresageError, StateError
from presage.local.authority import Authority
from presage.local.object_store import Accounts
from presage.local.secrets import CERTIFICATE, MADE_BY, Secrets
from presage.local.tokens import TokenIssuer
from presage.local.volumes import own_port, swap


def secret(name="tls", **annotations):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "presage", "annotations": annotations}}


def secrets(tmp_path, operator=None):
    return Secrets(tmp_path, Authority.open(tmp_path / "authority"), operator or (lambda *_: ({}, 1.0)))


def test_the_authority_is_made_once_and_what_it_issues_is_trusted_by_it_alone(tmp_path):
    first, second = Authority.open(tmp_path / "a"), Authority.open(tmp_path / "a")
    assert first.certificate == second.certificate
    assert (tmp_path / "a" / "ca.key").stat().st_mode & 0o777 == 0o600
    issued = second.issue(["vault.vault.svc"], ["127.70.1.2"])
    leaf = x509.load_pem_x509_certificate(issued["tls.crt"])
    leaf.verify_directly_issued_by(first.root)
    with pytest.raises(Exception, match=r".*"):
        leaf.verify_directly_issued_by(Authority.open(tmp_path / "b").root)


def test_a_damaged_authority_or_issuer_is_said(tmp_path):
    Authority.open(tmp_path / "a")
    (tmp_path / "a" / "ca.key").write_text("x")
    with pytest.raises(StateError, match="no usable certificate authority"):
        Authority.open(tmp_path / "a")
    (tmp_path / "issuer.key").write_text("x")
    with pytest.raises(StateError, match=r"issuer\.key is no key"):
        TokenIssuer.open(tmp_path / "issuer.key")


def test_a_service_account_token_says_who_for_whom_and_how_long_and_verifies_by_the_key_set(tmp_path):
    jwt = pytest.importorskip("jwt")
    issuer = TokenIssuer.open(tmp_path / "issuer.key")
    token = issuer.service_account("models-network", "incident", ["vault"], 600, "incident-0")
    key = jwt.PyJWKSet.from_dict(json.loads((tmp_path / "issuer.jwks").read_bytes())).keys[0]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="vault")
    assert (claims["sub"], claims["exp"] - claims["iat"]) == ("system:serviceaccount:models-network:incident", 600)
    assert claims["kubernetes.io"]["pod"] == {"name": "incident-0"}


def test_a_secret_is_absent_until_its_source_is_read_and_keeps_what_it_held_when_the_source_goes_away(tmp_path):
    given = iter([PresageError("OpenBao is sealed"), ({"key": b"1"}, 5.0), PresageError("OpenBao is out")])

    def operator(namespace, name, made_by):
        found = next(given)
        if isinstance(found, PresageError):
            raise found
        return found

    held = secrets(tmp_path, operator)
    held.replace([secret(**{MADE_BY: "{}"})])
    held.tend(now=0.0)
    assert held.data("presage", "tls") is None
    assert "OpenBao is sealed" in held.trouble
    held.tend(now=2.0)
    assert (held.data("presage", "tls"), held.trouble) == ({"key": b"1"}, "")
    held.tend(now=3.0)  # not due yet
    held.tend(now=8.0)
    assert held.data("presage", "tls") == {"key": b"1"}
    assert "OpenBao is out" in held.trouble


def test_a_secret_whose_source_did_not_change_keeps_its_certificate_when_other_objects_come(tmp_path):
    held = secrets(tmp_path)
    held.replace([secret(**{CERTIFICATE: "a.example"})])
    held.tend(now=0.0)
    before = held.data("presage", "tls")
    held.replace([secret(**{CERTIFICATE: "a.example"}), config_map("more", {}), claim("more")])
    held.tend(now=1.0)
    assert held.data("presage", "tls") == before
    held.replace([secret(**{CERTIFICATE: "b.example"})])
    held.tend(now=2.0)
    assert held.data("presage", "tls") != before


def test_accounts_of_the_object_store_are_made_once_and_a_damaged_file_is_said(tmp_path):
    assert Accounts.open(tmp_path).keys == Accounts.open(tmp_path).keys
    actions = {identity["name"]: identity["actions"] for identity in Accounts.open(tmp_path).document()["identities"]}
    assert actions["serving"] == ["Read:releases", "List:releases"]
    (tmp_path / "accounts.json").write_text("{}")
    with pytest.raises(StateError, match="is damaged"):
        Accounts.open(tmp_path)


FILES = st.dictionaries(st.sampled_from(["tls.crt", "tls.key", "ca.crt", "deep/er"]), st.binary(max_size=20), max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(FILES, min_size=1, max_size=5))
def test_a_folder_shows_exactly_the_last_set_and_nothing_of_those_before(tmp_path_factory, sets):
    folder = tmp_path_factory.mktemp("shown")
    for content in sets:
        swap(folder, content)
    shown = {name: (folder / name).read_bytes() for name in sets[-1]}
    assert shown == sets[-1]
    assert {path.name for path in folder.iterdir() if not path.name.startswith("..")} == {name.partition("/")[0] for name in sets[-1]}
    assert len([path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and path.name.startswith("..")]) == 1
    assert not swap(folder, sets[-1])


def test_a_reader_never_sees_a_certificate_beside_anothers_key(tmp_path):
    authority = Authority.open(tmp_path / "authority")
    pairs = [authority.issue(["a.example"]) for _ in range(2)]
    folder = tmp_path / "shown"
    folder.mkdir()
    swap(folder, pairs[0])
    stop, broken = threading.Event(), []

    def read():
        while not stop.is_set():
            present = (folder / "..data").resolve()
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(present / "tls.crt", present / "tls.key")
            except FileNotFoundError:
                continue  # the set it looked at was replaced: it looks again
            except ssl.SSLError as error:
                broken.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        swap(folder, pairs[turn % 2])
    stop.set()
    reader.join()
    assert broken == []


def test_ports_of_two_planes_differ_and_stay_the_same(tmp_path):
    assert own_port(tmp_path / "a", "x") == own_port(tmp_path / "a", "x")
    assert len({own_port(tmp_path / name, "x") for name in "abcdefgh"}) > 6
    assert all(20000 <= own_port(tmp_path / "a", str(number)) < 32000 for number in range(200))
