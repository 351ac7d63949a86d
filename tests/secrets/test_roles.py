"""Who may log in as what, and what each role may do: the table is the whole truth, on a real server.

Every role of manifests/vault/generated is tried on every request below; what the table does not grant is refused.
"""

import base64

import hvac.exceptions
import pytest
import yaml
from builders.openbao import MANIFESTS

from presage.local.tokens import TokenIssuer
from presage.secrets.errors import LoginRefused
from presage.secrets.vault import connect

ROLES = {role["name"]: role for role in yaml.safe_load((MANIFESTS / "generated" / "roles.yaml").read_text())}
PREDICTORS = ("models-network.incident", "models-databases.incident")
PUBLISHER, GATEWAY = "pipelines.publisher", "gateway.presage-istio"
PLAINTEXT = base64.b64encode(b"k" * 32).decode()

# request → roles that may. {wrapped} is a data key wrapped by the transit key.
REQUESTS = {
    ("GET", "kv/data/presage/models-network/release-storage"): {"models-network.incident"},
    ("GET", "kv/data/presage/models-databases/release-storage"): {"models-databases.incident"},
    ("GET", "kv/data/presage/pipelines/release-storage"): {PUBLISHER},
    ("GET", "kv/data/presage/pipelines/release-signing"): {PUBLISHER},
    ("GET", "kv/data/other/team"): set(),
    ("GET", "kv/metadata/presage/models-network/release-storage"): set(),
    ("LIST", "kv/metadata/presage"): set(),
    ("LIST", "kv/metadata/presage/pipelines"): set(),
    ("POST", "kv/data/presage/models-network/release-storage"): set(),
    ("POST", "kv/data/presage/pipelines/release-signing"): set(),
    ("DELETE", "kv/data/presage/pipelines/release-signing"): set(),
    ("POST", "kv/destroy/presage/pipelines/release-signing"): set(),
    ("POST", "transit/decrypt/releases"): set(PREDICTORS),
    ("POST", "transit/datakey/plaintext/releases"): {PUBLISHER},
    ("POST", "transit/encrypt/releases"): {PUBLISHER},
    ("POST", "transit/rewrap/releases"): {PUBLISHER},
    ("POST", "transit/datakey/wrapped/releases"): set(),
    ("POST", "transit/encrypt/releaes"): set(),
    ("GET", "transit/keys/releases"): set(),
    ("POST", "transit/keys/another"): set(),
    ("POST", "transit/keys/releases/rotate"): set(),
    ("POST", "transit/keys/releases/config"): set(),
    ("GET", "transit/export/encryption-key/releases"): set(),
    ("GET", "transit/backup/releases"): set(),
    ("POST", "pki-edge/issue/gateway"): {GATEWAY},
    ("POST", "pki-edge/issue/client"): set(),
    ("POST", "pki-edge/sign/gateway"): set(),
    ("POST", "pki-edge/sign-verbatim"): set(),
    ("POST", "pki-edge/revoke"): set(),
    ("POST", "pki-edge/root/generate/internal"): set(),
    ("POST", "pki-edge/roles/gateway"): set(),
    ("POST", "pki-mesh/issue/workload"): set(),
    ("GET", "sys/mounts"): set(),
    ("GET", "sys/policies/acl/release-open"): set(),
    ("POST", "sys/policies/acl/release-open"): set(),
    ("POST", "auth/jwt/role/pipelines.publisher"): set(),
    ("POST", "auth/jwt/config"): set(),
    ("POST", "auth/token/create"): set(),
    ("GET", "sys/raw/core"): set(),
}
BODIES = {
    "transit/encrypt": {"plaintext": PLAINTEXT}, "transit/datakey": {"bits": 256}, "pki-edge/issue/gateway": {"common_name": "*.presage.local"},
    "pki-edge/issue/client": {"uri_sans": "spiffe://cluster.local/ns/clients/sa/operators"}, "kv/data": {"data": {"a": "b"}}, "kv/destroy": {"versions": [1]},
    "pki-mesh/issue/workload": {"uri_sans": "spiffe://cluster.local/ns/models-network/sa/incident"},
}  # fmt: skip


@pytest.fixture(scope="module")
def wrapped(openbao):
    return openbao.root().write_data("transit/encrypt/releases", data={"plaintext": PLAINTEXT})["data"]["ciphertext"]


@pytest.fixture(scope="module")
def clients(openbao, tmp_path_factory):
    """Role → a client logged in as its account."""
    folder = tmp_path_factory.mktemp("tokens")
    accounts = {name: role["bound_service_account"] for name, role in ROLES.items()}
    return {name: connect(openbao.settings(account["namespace"], account["name"], folder / name)) for name, account in accounts.items()}


def test_the_table_knows_every_role_there_is():
    assert set(ROLES) == {*PREDICTORS, PUBLISHER, GATEWAY}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_role_does_what_the_table_grants_and_nothing_else(clients, wrapped, role, method, path):
    body = next((body for prefix, body in BODIES.items() if path.startswith(prefix)), {"ciphertext": wrapped})

    def ask():
        return clients[role].adapter.request(method, f"/v1/{path}", json=None if method in ("GET", "LIST") else body)

    if role in REQUESTS[method, path]:
        assert ask()["data"]
    else:
        with pytest.raises(hvac.exceptions.Forbidden):
            ask()


@pytest.mark.parametrize("role", ROLES)
def test_a_login_lives_as_long_as_the_policy_says_and_carries_its_policies_alone(clients, role):
    token = clients[role].auth.token.lookup_self()["data"]
    assert token["creation_ttl"] == 600
    assert set(token["policies"]) == {"default", *ROLES[role]["policies"]}
    with pytest.raises(hvac.exceptions.Forbidden):
        clients[role].auth.token.create(ttl="100h")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("account", [(role["bound_service_account"]["namespace"], role["bound_service_account"]["name"]) for role in ROLES.values()])
def test_only_the_accounts_own_token_gets_the_role(openbao, tmp_path, role, account):
    bound = ROLES[role]["bound_service_account"]
    settings = openbao.settings(*account, tmp_path / "token", role=role)
    if account == (bound["namespace"], bound["name"]):
        connect(settings)
    else:
        with pytest.raises(LoginRefused, match=r"invalid subject.*Run as the service account that the role names"):
            connect(settings)


STRANGERS = {
    "other namespace, same account": (("shop", "incident"), {}, "invalid subject"),
    "same namespace, other account": (("models-network", "telemetry"), {}, "invalid subject"),
    "default account": (("models-network", "default"), {}, "invalid subject"),
    "a name that only begins alike": (("models-network", "incident2"), {}, "invalid subject"),
    "audience of the API server": (("models-network", "incident"), {"audiences": ("https://kubernetes.default.svc",)}, r"invalid audience.*Request the token"),
    "no audience": (("models-network", "incident"), {"audiences": ()}, "audience"),
    "expired": (("models-network", "incident"), {"seconds": -60}, r"token is expired.*Read the file anew"),
}  # fmt: skip


@pytest.mark.parametrize(("account", "token", "reason"), STRANGERS.values(), ids=list(STRANGERS))
def test_a_stranger_is_refused_with_the_reason_and_who_it_claims_to_be(openbao, tmp_path, account, token, reason):
    settings = openbao.settings(*account, tmp_path / "token", role="models-network.incident", **token)
    with pytest.raises(LoginRefused, match=reason) as refused:
        connect(settings)
    assert f"subject 'system:serviceaccount:{account[0]}:{account[1]}'" in refused.value.message
    assert settings.token_file.read_text() not in refused.value.message


def test_a_token_that_another_cluster_signed_is_refused(openbao, tmp_path):
    settings = openbao.settings("models-network", "incident", tmp_path / "token")
    foreign = TokenIssuer.open(tmp_path / "foreign.key").service_account("models-network", "incident", ["vault"], 600)
    settings.token_file.write_text(foreign)
    with pytest.raises(LoginRefused, match=r"no known key.*comes from the cluster that this auth mount trusts"):
        connect(settings)


def test_an_unsigned_token_is_refused(openbao, tmp_path):
    settings = openbao.settings("models-network", "incident", tmp_path / "token")
    payload = settings.token_file.read_text().split(".")[1]
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    settings.token_file.write_text(f"{header}.{payload}.")
    with pytest.raises(LoginRefused):
        connect(settings)


def test_what_is_no_token_and_what_is_not_there_is_said(openbao, tmp_path):
    settings = openbao.settings("models-network", "incident", tmp_path / "token")
    settings.token_file.write_text("nonsense")
    with pytest.raises(LoginRefused, match="it is no JSON Web Token"):
        connect(settings)
    settings.token_file.unlink()
    with pytest.raises(LoginRefused, match=r"there is no service account token here. Mount one with the audience that role 'models-network.incident' wants"):
        connect(settings)


def test_a_role_and_a_mount_that_are_not_there_are_said(openbao, tmp_path):
    with pytest.raises(LoginRefused, match=r'role "models-network.nobody" could not be found.*Add the account to policies/access.yaml'):
        connect(openbao.settings("models-network", "incident", tmp_path / "token", role="models-network.nobody"))
    from dataclasses import replace

    settings = replace(openbao.settings("models-network", "incident", tmp_path / "token"), auth_mount="kubernetes")
    with pytest.raises(LoginRefused, match="See that Vault has an auth method at this path"):
        connect(settings)


def test_refused_requests_are_recorded_without_what_was_shown(openbao, tmp_path):
    openbao.audited()
    client = connect(openbao.settings("models-network", "incident", tmp_path / "token"))
    with pytest.raises(hvac.exceptions.Forbidden):
        client.adapter.get("/v1/kv/data/presage/pipelines/release-signing")
    records = openbao.audited()
    refused = [record for record in records if record["type"] == "response" and record["request"]["path"] == "kv/data/presage/pipelines/release-signing"]
    assert "permission denied" in refused[0]["error"]
    assert refused[0]["auth"]["metadata"]["role"] == "models-network.incident"
    assert client.token not in str(records)
