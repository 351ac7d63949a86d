"""Sealed releases end to end: a real OpenBao wraps, a real SeaweedFS keeps, the gate opens as its Pod and nobody else does."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from builders.object_store import ObjectStore
from builders.openbao import OpenBao
from builders.releases import World, contract, logistic, parts, world

from presage.cli import main
from presage.errors import InputError
from presage.files import write_json
from presage.package import gate
from presage.package.fetching import FILE_PATH
from presage.package.inspection import show
from presage.package.layout import read_folder
from presage.package.publishing import publish
from presage.package.release import verify_folder
from presage.package.rewrapping import rewrap
from presage.package.sealing import KeyWrapper, is_sealed
from presage.package.store import ReleaseStore
from presage.package.transit_keys import keys_from_environment
from presage.secrets.errors import AccessRefused
from presage.secrets.transit import Transit

POD, PUBLISHER = ("models-network", "incident"), ("pipelines", "publisher")


@dataclass
class Site:
    """A trained release, an object store and an OpenBao that knows two accounts: who publishes, and the Pod."""

    made: World
    objects: ObjectStore
    vault: OpenBao
    root: Path

    def environment(self, account: tuple[str, str], **token) -> dict[str, str]:
        """What a container of `account` is given. token: audiences, seconds of its service account token."""
        file = self.root / f"token-{os.urandom(4).hex()}"
        settings = self.vault.settings(*account, file, **token)
        return self.objects.environment("publisher" if account == PUBLISHER else "serving") | {
            "PRESAGE_VAULT_ADDRESS": settings.address, "PRESAGE_VAULT_CA": str(settings.ca), "PRESAGE_VAULT_AUTH_MOUNT": settings.auth_mount,
            "PRESAGE_VAULT_ROLE": settings.role, "PRESAGE_VAULT_TOKEN_FILE": str(file), "PRESAGE_TRANSIT_KEY": "releases",
            "PRESAGE_RELEASE_STORE": "s3://releases/site", "PRESAGE_TRUST_KEYS": str(self.made.root / "keys"),
        }  # fmt: skip

    def store(self, account: tuple[str, str] = PUBLISHER) -> ReleaseStore:
        return ReleaseStore.open("s3://releases/site", self.environment(account))

    def keys(self, account: tuple[str, str] = PUBLISHER) -> KeyWrapper:
        found = keys_from_environment(self.environment(account))
        assert found is not None
        return found

    def publish(self, **members) -> str:
        published = self.made.publish({"primary": parts(**members)}) if members else self.made.published
        return str(publish(published.reference, self.made.store, self.store(), self.keys(), trust=self.made.trust))

    def sealed_blobs(self, uri: str) -> dict[str, bytes]:
        """Path → ciphertext as it lies in the store."""
        store, reference = self.store(), gate.parse_reference(uri)
        index = store.layout.read_index(store.entry(reference, store.layout.top().manifests))
        found = {}
        for descriptor in index.manifests:
            for layer in store.layout.read_manifest(descriptor).layers:
                if is_sealed(layer):
                    found[f"{descriptor.hex}/{layer.annotations[FILE_PATH]}"] = store.layout.read(layer, layer.size)
        return found


@pytest.fixture(scope="module")
def site(openbao, object_store, tmp_path_factory):
    openbao.configure()
    folder = tmp_path_factory.mktemp("site")
    return Site(world(folder / "state"), object_store, openbao, folder)


def opened(site: Site, uri: str, target: Path, **settings: str) -> int:
    return gate.main([uri, str(target)], site.environment(POD) | settings)


def test_the_pod_opens_what_the_publisher_sealed(site, tmp_path):
    """As KServe runs it: a process of its own, names that only the cluster's DNS knows, and its own token."""
    uri = site.publish()
    hosts = {"s3.object-store.svc": "127.0.0.1", "vault.vault.svc": "127.0.0.1"}
    write_json(tmp_path / "hosts.json", hosts)
    environment = site.environment(POD) | {"PRESAGE_HOSTS": str(tmp_path / "hosts.json")}
    for name, host in (("PRESAGE_S3_ENDPOINT", "s3.object-store.svc"), ("PRESAGE_VAULT_ADDRESS", "vault.vault.svc")):
        environment[name] = environment[name].replace("127.0.0.1", host)
    command = [sys.executable, "-m", "presage.package.gate", uri, str(tmp_path / "models")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    release = verify_folder(tmp_path / "models", site.made.trust, uri)
    assert release.primary.onnx == parts().onnx
    assert read_folder(tmp_path / "models") == read_folder(site.made.pod("plain"))


def test_sealing_changes_nothing_that_was_approved(site):
    uri = site.publish()
    assert uri == site.made.published.uri
    sealed, plain = site.store().fetch(gate.parse_reference(uri)), site.made.store.fetch(site.made.published.reference)
    assert sealed.packages == plain.packages
    assert sealed.contents.items() <= plain.contents.items()
    assert sealed.sealed.files.keys() == plain.contents.keys() - sealed.contents.keys()
    assert {path.rpartition("/")[2] for path in sealed.contents} == {"release.json", "release.dsse.json", "contract.json", "card.md", "model.sig"}


def test_no_sealed_byte_lies_in_the_store_in_the_clear(site):
    site.publish(seed=61)
    kept = b"".join(path.read_bytes() for path in (site.objects.folder / "data").rglob("*") if path.is_file() and not path.is_symlink())
    files = parts(seed=61).files()
    assert files["card.md"] in kept
    weights = logistic(len(contract().inputs), 61).graph.initializer[0].raw_data
    assert weights in files["model.onnx"] and weights not in kept
    assert files["calibration.safetensors"][-200:] not in kept


def test_plaintext_is_written_into_the_target_and_nowhere_else(site, tmp_path):
    """Every file that the gate's process opens for writing, as the interpreter itself reports it."""
    program = (
        "import os, sys\n"
        "def seen(event, arguments):\n"
        "    if event == 'open' and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):\n"
        "        print('writes', arguments[0])\n"
        "from presage.package.gate import main\n"
        "sys.addaudithook(seen)\n"
        "sys.exit(main(sys.argv[1:], os.environ))\n"
    )
    environment = site.environment(POD) | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, site.publish(), str(tmp_path / "models")], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    written = [line.removeprefix("writes ") for line in done.stdout.splitlines() if line.startswith("writes ")]
    assert len(written) == len(read_folder(tmp_path / "models"))
    assert all(Path(path).is_relative_to(tmp_path / "models") for path in written)


def asked(site: Site) -> list[str]:
    """What OpenBao was asked since this was called last."""
    return [entry["request"]["path"] for entry in site.vault.audited() if entry["type"] == "request"]


def test_vault_is_asked_only_when_every_document_has_passed(site, tmp_path):
    uri = site.publish()
    write_json(tmp_path / "revoked.json", {"schema": "presage.revocations/v1", "revoked": [{"digest": uri.partition("@")[2], "because": "leaks"}]})
    asked(site)
    assert opened(site, uri, tmp_path / "models", PRESAGE_REVOCATIONS=str(tmp_path / "revoked.json")) == 1
    assert asked(site) == []
    assert opened(site, uri, tmp_path / "models") == 0
    assert asked(site) == ["auth/jwt/login", "transit/decrypt/releases"]


def sealed_vault(site, environment):
    site.vault.seal()
    return {}


def vault_out(site, environment):
    return {"PRESAGE_VAULT_ADDRESS": "https://127.0.0.1:1"}


def no_vault(site, environment):
    return {"PRESAGE_VAULT_ADDRESS": ""}


def foreign_vault(site, environment):
    return {"PRESAGE_VAULT_CA": str(site.made.root / "keys" / "local.pub")}


def wrong_audience(site, environment):
    return site.environment(POD, audiences=("someone-else",))


def expired_token(site, environment):
    return site.environment(POD, seconds=-3600)


def another_account_s_token(site, environment):
    return site.environment(PUBLISHER) | {"PRESAGE_VAULT_ROLE": "models-network.incident"} | site.objects.environment("serving")


def no_right_to_unwrap(site, environment):
    return site.environment(PUBLISHER)


def no_token(site, environment):
    return {"PRESAGE_VAULT_TOKEN_FILE": str(site.root / "absent")}


def no_such_key(site, environment):
    return {"PRESAGE_TRANSIT_KEY": "other"}


FAILURES = {
    sealed_vault: "is sealed", vault_out: "127.0.0.1:1", no_vault: "no Vault is configured", foreign_vault: "cannot", wrong_audience: "audience",
    expired_token: "expires", another_account_s_token: "subject", no_right_to_unwrap: "permission denied", no_token: "no service account token",
    no_such_key: "transit/decrypt/other",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
def test_whatever_keeps_vault_from_opening_it_the_gate_stays_shut_and_says_why(site, tmp_path, capsys, failure):
    uri, target = site.publish(), site.made.pod("before")
    environment = site.environment(POD)
    try:
        environment |= failure(site, environment)
        code = gate.main([uri, str(target)], environment | {"PRESAGE_TERMINATION_LOG": str(tmp_path / "log")})
    finally:
        site.vault.unseal()
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("refused [encryption]: ") and FAILURES[failure] in said and said.count("\n") == 1, said
    assert (tmp_path / "log").read_text() == said.strip()
    assert list(target.iterdir()) == []


def test_after_a_rotation_data_keys_are_wrapped_anew_and_no_file_is(site, tmp_path, capsys):
    root, uri = site.vault.root(), site.publish(seed=31)
    name = uri.removeprefix("presage://").partition("@")[0]
    before = site.sealed_blobs(uri)
    version = show(gate.parse_reference(uri), site.store(), None).key_version
    root.write_data("transit/keys/releases/rotate")
    assert opened(site, uri, tmp_path / "models") == 0
    done = rewrap(site.store(), site.keys(), name)
    assert [(one.release, one.before, one.after) for one in done] == [(name, version, version + 1)]
    assert site.sealed_blobs(uri) == before
    rewrap(site.store(), site.keys())
    root.write_data("transit/keys/releases/config", data={"min_decryption_version": version + 1})
    assert opened(site, uri, tmp_path / "models") == 0
    assert opened(site, site.made.published.uri, tmp_path / "models") == 0
    assert {(one.before, one.after) for one in rewrap(site.store(), site.keys())} == {(version + 1, version + 1)}


def test_a_version_that_was_shut_off_opens_nothing_more(site, tmp_path, capsys):
    uri, root = site.publish(seed=32), site.vault.root()
    root.write_data("transit/keys/releases/rotate")
    newest = root.read("transit/keys/releases")["data"]["latest_version"]
    root.write_data("transit/keys/releases/config", data={"min_decryption_version": newest})
    assert opened(site, uri, tmp_path / "models") == 1
    assert "refused [encryption]" in capsys.readouterr().err
    root.write_data("transit/keys/releases/config", data={"min_decryption_version": newest - 1})
    assert opened(site, uri, tmp_path / "models") == 0
    rewrap(site.store(), site.keys())


def test_what_is_not_sealed_or_not_there_cannot_be_wrapped_anew(site):
    with pytest.raises(InputError, match="is not sealed"):
        rewrap(site.made.store, site.keys(), "incident:1")
    with pytest.raises(InputError, match="holds no release called 'incident:99'"):
        rewrap(site.store(), site.keys(), "incident:99")
    assert rewrap(site.made.store, site.keys()) == []


def test_who_publishes_cannot_open_and_who_opens_cannot_seal(site):
    _, wrapped = site.keys().data_key()
    with pytest.raises(AccessRefused):
        site.keys().unwrap(wrapped)
    assert len(site.keys(POD).unwrap(wrapped)) == 32
    with pytest.raises(AccessRefused):
        site.keys(POD).data_key()


def test_a_sealed_release_goes_on_to_another_store_under_a_key_of_its_own(site, tmp_path):
    uri = site.publish()
    both = Transit(site.vault.root(), "releases")
    target = ReleaseStore(tmp_path / "copy")
    assert str(publish(gate.parse_reference(uri), site.store(), target, both, trust=site.made.trust)) == uri
    assert target.fetch(gate.parse_reference(uri)).sealed.sealing != site.store().fetch(gate.parse_reference(uri)).sealed.sealing
    assert gate.admit(uri, tmp_path / "models", target, site.made.trust, keys=both).uri == uri


def test_a_store_that_is_out_is_named_apart_from_a_release_that_is_bad(site, tmp_path, capsys):
    assert opened(site, site.publish(), tmp_path / "models", PRESAGE_S3_ENDPOINT="https://127.0.0.1:1") == 1
    assert capsys.readouterr().err.startswith("refused [store]: the object store at https://127.0.0.1:1 does not answer")


def test_the_commands_publish_sealed_show_the_key_version_and_wrap_anew(site, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    trust = ["--trust", str(site.made.root / "keys")]
    for name, value in site.environment(PUBLISHER).items():
        monkeypatch.setenv(name, value)
    uri = site.made.publish({"primary": parts(seed=51)}).uri
    assert main(["release", "publish", "incident", "--to", "s3://releases/site", "--store", str(site.made.root / "releases"), *trust]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == uri
    site.vault.root().write_data("transit/keys/releases/rotate")
    assert main(["release", "show", uri, "--store", "s3://releases/site", "-o", "json", *trust]) == 0
    shown = orjson.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["sealed"] and shown["signer"]["owner"] == "local" and shown["members"][0]["bytes"] is None
    assert main(["release", "rewrap", "s3://releases/site", f"incident:{shown['uri'].partition('@')[0].rpartition(':')[2]}"]) == 0
    assert f"key version {shown['key_version']} → {shown['key_version'] + 1}" in capsys.readouterr().out
    assert main(["release", "show", uri, "--store", "s3://releases/site", *trust]) == 0
    assert f"sealed    yes, key version {shown['key_version'] + 1}" in capsys.readouterr().out
