"""manifests/vault as types: what is in it, and how a mistake in it is said."""

import shutil
from datetime import timedelta

import pytest
import yaml
from builders.openbao import MANIFESTS

from presage.secrets.configuration import PkiMount, TransitMount, read_configuration
from presage.secrets.errors import ConfigurationRefused


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(MANIFESTS, tmp_path / "vault")


def rewritten(path, change):
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


def test_the_folder_names_the_mounts_of_the_design():
    found = read_configuration(MANIFESTS)
    assert [(mount.path, mount.type) for mount in found.engines.mounts] == [("kv", "kv"), ("transit", "transit"), ("pki-edge", "pki"), ("pki-mesh", "pki")]
    assert [key.name for mount in found.engines.mounts if isinstance(mount, TransitMount) for key in mount.keys] == ["releases"]
    assert {f"{mount.path}/{role.name}" for mount in found.engines.mounts if isinstance(mount, PkiMount) for role in mount.roles} == {
        "pki-edge/gateway", "pki-edge/client", "pki-mesh/workload",
    }  # fmt: skip
    assert found.needs_domain


def test_no_certificate_lives_longer_than_a_month_and_a_pods_no_longer_than_a_day():
    longest = {role.name: role.max_ttl for mount in read_configuration(MANIFESTS).engines.mounts if isinstance(mount, PkiMount) for role in mount.roles}
    assert longest == {"gateway": timedelta(days=30), "client": timedelta(days=30), "workload": timedelta(days=1)}


def test_the_gateways_role_grants_what_the_operator_will_ask_for():
    resource = yaml.safe_load((MANIFESTS.parent / "base/platform/generated/common/vaultpkisecret.gateway.gateway-tls.yaml").read_text())["spec"]
    roles = {(mount.path, role.name): role for mount in read_configuration(MANIFESTS).engines.mounts if isinstance(mount, PkiMount) for role in mount.roles}
    assert timedelta(seconds=int(resource["ttl"].removesuffix("s"))) <= roles[resource["mount"], resource["role"]].max_ttl


def test_no_policy_grants_a_wildcard_or_more_than_reading_and_using():
    for name, text in read_configuration(MANIFESTS).policies.items():
        assert "*" not in text, name
        assert "+" not in text, name
        assert not {"sudo", "delete", "list", "root"} & set(text.replace('"', " ").split()), name


MISTAKES = {
    "an unknown field": (
        "configuration.yaml", lambda found: found["mounts"][0].update(max_version=3),
        r"configuration.yaml:\d+: mounts.0.kv.max_version: .*it is 3.*Mend the key",
    ),
    "an unknown engine": ("configuration.yaml", lambda found: found["mounts"][0].update(type="database"), r"mounts.0: .*'database'"),
    "no duration": ("configuration.yaml", lambda found: found["auth"][0].update(max_lease_ttl="soon"), r"auth.0.max_lease_ttl: .*'soon' is no duration"),
    "an algorithm with a shared key": ("configuration.yaml", lambda found: found["auth"][0].update(jwt_supported_algs=["HS256"]), r"jwt_supported_algs.*HS256"),
    "no algorithm": ("configuration.yaml", lambda found: found["auth"][0].update(jwt_supported_algs=[]), r"jwt_supported_algs"),
    "a missing field": ("configuration.yaml", lambda found: found["mounts"][2].pop("crl"), r"mounts.2.pki.crl: Field required"),
    "two mounts at a path": ("configuration.yaml", lambda found: found["mounts"].append(found["mounts"][0]), r"mount 'kv' is there twice. Remove one"),
    "two roles of a name": (
        "configuration.yaml", lambda found: found["mounts"][2]["roles"].append(found["mounts"][2]["roles"][0]), r"role of pki-edge 'gateway' is there twice",
    ),
    "a path out of the folder": ("configuration.yaml", lambda found: found["mounts"][0].update(path="../sys"), r"mounts.0.kv.path: .*'../sys'"),
    "a policy that no file holds": (
        "generated/roles.yaml", lambda found: found[0]["policies"].append("release-shut"), r"role 'models-network.incident' has the policy 'release-shut'",
    ),
    "no audience": ("generated/roles.yaml", lambda found: found[0].update(audience=""), r"roles.yaml:\d+: 0.audience"),
    "a life longer than the mount's": ("generated/roles.yaml", lambda found: found[0].update(ttl="2h"), r"ttl of role 'models-network.incident' is 2:00:00"),
    "a role without an account": ("generated/roles.yaml", lambda found: found[0].pop("bound_service_account"), r"0.bound_service_account: Field required"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "change", "sentence"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_said_with_file_field_and_value(folder, file, change, sentence):
    rewritten(folder / file, change)
    with pytest.raises(ConfigurationRefused, match=sentence):
        read_configuration(folder)


def test_what_is_missing_or_no_yaml_is_said(folder):
    (folder / "generated/roles.yaml").unlink()
    with pytest.raises(ConfigurationRefused, match=r"roles.yaml: there is no Vault configuration here.*presage policies render"):
        read_configuration(folder)
    (folder / "configuration.yaml").write_text("mounts: [")
    with pytest.raises(ConfigurationRefused, match=r"configuration.yaml: not YAML .*Mend the file"):
        read_configuration(folder)


def test_two_policies_of_one_name_are_refused(folder):
    (folder / "policies/gateway.presage-istio.hcl").write_text("")
    with pytest.raises(ConfigurationRefused, match=r"there are two policies 'gateway.presage-istio'. Rename the one in policies/"):
        read_configuration(folder)
