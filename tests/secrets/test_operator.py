"""What Vault Secrets Operator would put into a Secret, read from a real server as the account that the VaultAuth names."""

from math import inf

import pytest
import yaml
from builders.openbao import MANIFESTS
from builders.vault_contents import SECRETS
from cryptography import x509

from presage.secrets.answers import write
from presage.secrets.errors import AccessRefused, ConfigurationRefused, LoginRefused, SecretMissing, VaultOut, VaultSealed
from presage.secrets.operator import log_in, resolve, seconds

GENERATED = MANIFESTS.parent / "base" / "platform" / "generated"
STORAGE = "presage/models-network/release-storage"


def made_by(kind, namespace, account, spec, **auth):
    return {
        "kind": kind, "namespace": namespace, "name": "tested", "keys": [], "spec": spec,
        "auth": {"method": "jwt", "mount": "jwt", "role": f"{namespace}.{account}", "serviceAccount": account, "audiences": ["vault"], **auth},
    }  # fmt: skip


def static(path=STORAGE, **spec):
    destination = {"name": "release-storage", "create": True, "transformation": {"excludeRaw": True}}
    return made_by("VaultStaticSecret", "models-network", "incident", {"mount": "kv", "type": "kv-v2", "path": path, "destination": destination, **spec})


TLS = {"name": "gateway-tls", "type": "kubernetes.io/tls", "transformation": {"excludeRaw": True}}


def certificate(destination=TLS, **spec):
    wanted = {"mount": "pki-edge", "role": "gateway", "commonName": "*.presage.local", "ttl": "720h", "expiryOffset": "240h", "destination": destination}
    return made_by("VaultPKISecret", "gateway", "presage-istio", {**wanted, **spec})


def resolved(server, document, client=None):
    account = document["auth"]["serviceAccount"]
    return resolve(document, client or log_in(document, server.client(), server.token(document["namespace"], account)))


def test_a_static_secret_has_the_fields_of_its_path(openbao):
    data, again = resolved(openbao, static(refreshAfter="60s"))
    assert data == {name: value.encode() for name, value in SECRETS[STORAGE].items()}
    assert again == 60


@pytest.mark.parametrize(("spec", "again"), [({}, 60), ({"refreshAfter": "1h30m"}, 5400), ({"hmacSecretData": False}, inf)])
def test_when_the_operator_looks_again(openbao, spec, again):
    assert resolved(openbao, static(**spec))[1] == again


def test_an_older_version_is_read_where_it_is_asked_for(openbao):
    root = openbao.root()
    for value in ("one", "two"):
        root.secrets.kv.v2.create_or_update_secret(path="versions", secret={"value": value}, mount_point="kv")
    assert [resolve(static("versions", **version), root)[0]["value"] for version in ({"version": 1}, {})] == [b"one", b"two"]


def test_a_tls_secret_has_the_operators_keys_and_those_of_its_type(openbao):
    data, again = resolved(openbao, certificate())
    assert set(data) == {
        "certificate", "issuing_ca", "private_key", "private_key_type", "serial_number", "expiration", "not_before", "tls.crt", "tls.key", "ca.crt",
    }  # fmt: skip
    leaf, authority = x509.load_pem_x509_certificates(data["tls.crt"])
    leaf.verify_directly_issued_by(authority)
    assert data["ca.crt"] == data["issuing_ca"]
    assert data["tls.key"] == data["private_key"]
    assert abs(again - 20 * 86400) < 60


def test_an_opaque_secret_has_no_keys_of_tls(openbao):
    data, _ = resolved(openbao, certificate({"name": "x", "transformation": {"excludeRaw": True, "excludes": ["expiration|not_before|_type"]}}))
    assert set(data) == {"certificate", "issuing_ca", "private_key", "serial_number"}


def test_without_an_offset_it_is_renewed_shortly_before_its_end(openbao):
    _, again = resolved(openbao, certificate(expiryOffset="", ttl="100h"))
    assert abs(again - 95 * 3600) < 60


def test_templates_beside_type_tls_must_make_its_keys(openbao):
    def texts(*keys):
        templates = {key: {"name": key, "text": '{{ get .Secrets "certificate" }}'} for key in keys}
        return {"name": "gateway-tls", "type": "kubernetes.io/tls", "transformation": {"excludeRaw": True, "templates": templates}}

    with pytest.raises(ConfigurationRefused, match=r"VaultPKISecret gateway/tested: destination.transformation.templates: .*Remove the templates"):
        resolved(openbao, certificate(texts("ca.crt")))
    assert {"tls.crt", "tls.key"} <= set(resolved(openbao, certificate(texts("tls.crt", "tls.key")))[0])


def test_an_offset_as_long_as_the_life_would_renew_without_end(openbao):
    with pytest.raises(ConfigurationRefused, match=r"spec.expiryOffset is '240h' and the certificate lives 3[56]\d\ds.*Shorten the offset"):
        resolved(openbao, certificate(ttl="1h"))


def test_a_dynamic_secret_is_whatever_lies_at_a_path(openbao):
    destination = {"name": "x", "transformation": {"excludeRaw": True, "includes": ["^$"], "templates": {"ca.crt": {"text": '{{ get .Secrets "ca_chain" }}'}}}}
    spec = {"mount": "pki-edge", "path": "cert/ca_chain", "refreshAfter": "60s", "destination": destination}
    data, again = resolved(openbao, made_by("VaultDynamicSecret", "gateway", "presage-istio", spec))
    assert x509.load_pem_x509_certificates(data["ca.crt"])
    assert again == 60


MISTAKES = {
    "a path that was never written": (static(f"{STORAGE}/x"), AccessRefused, f"cannot read kv/data/{STORAGE}/x"),
    "another namespace's path": (static("presage/pipelines/release-signing"), AccessRefused, r"denied. Give the account this path in policies/access.yaml"),
    "a role of the mount that is not its own": (certificate(role="client"), AccessRefused, r"cannot write pki-edge/issue/client: permission denied"),
    "a name that the role does not issue": (certificate(commonName="*.presage.example"), ConfigurationRefused, r"presage.example not allowed by this role"),
    "a namespace of Vault's": (static(namespace="team"), ConfigurationRefused, "spec.namespace is 'team', which is not honoured here"),
    "an issuer by name": (certificate(issuerRef="old"), ConfigurationRefused, "spec.issuerRef is 'old'"),
    "no duration": (static(refreshAfter="soon"), ConfigurationRefused, "spec.refreshAfter is 'soon', which is no duration"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "kind", "reason"), MISTAKES.values(), ids=list(MISTAKES))
def test_what_cannot_be_fetched_names_the_resource_the_field_and_the_remedy(openbao, document, kind, reason):
    with pytest.raises(kind, match=reason) as refused:
        resolved(openbao, document)
    assert refused.value.message.startswith(f"{document['kind']} {document['namespace']}/tested: ")


def test_nothing_at_a_path_and_a_deleted_version_are_said(openbao):
    root = openbao.root()
    with pytest.raises(SecretMissing, match=r"nothing at this path \(never written, or deleted\). Write the secret there"):
        resolve(static("presage/nothing"), root)
    root.secrets.kv.v2.create_or_update_secret(path="deleted", secret={"value": "hidden"}, mount_point="kv")
    root.secrets.kv.v2.delete_latest_version_of_secret(path="deleted", mount_point="kv")
    with pytest.raises(SecretMissing, match="never written, or deleted"):
        resolve(static("deleted"), root)


@pytest.mark.parametrize(("token", "reason"), [
    ({"audiences": ("https://kubernetes.default.svc",)}, "invalid audience"),
    ({"seconds": -60}, "token is expired"),
])  # fmt: skip
def test_a_token_of_the_account_that_does_not_count_is_said(openbao, token, reason):
    document = static()
    with pytest.raises(LoginRefused, match=rf"VaultStaticSecret models-network/tested: cannot log in .* as role 'models-network.incident': .*{reason}"):
        log_in(document, openbao.client(), openbao.token("models-network", "incident", **token))


def test_a_token_of_vaults_that_is_over_is_said(openbao):
    client = log_in(static(), openbao.client(), openbao.token("models-network", "incident"))
    client.auth.token.revoke_self()
    with pytest.raises(AccessRefused, match=r"the Vault token is unknown, revoked or over. Log in again"):
        resolved(openbao, static(), client)


def test_a_sealed_and_a_stopped_server_are_said(own_server):
    own_server.configure()
    client = log_in(static(), own_server.client(), own_server.token("models-network", "incident"))
    own_server.seal()
    with pytest.raises(VaultSealed, match=r"VaultStaticSecret models-network/tested: .*is sealed"):
        resolve(static(), client)
    own_server.stop()
    with pytest.raises(VaultOut, match=r"VaultStaticSecret models-network/tested: .*nobody answers at https://127"):
        resolve(static(), client)


def test_a_secret_that_changes_is_seen_at_the_next_look(openbao):
    root = openbao.root()
    write(root, "kv/data/changing", {"data": {"value": "old"}})
    before = resolve(static("changing"), root)[0]
    write(root, "kv/data/changing", {"data": {"value": "new"}})
    assert (before, resolve(static("changing"), root)[0]) == ({"value": b"old"}, {"value": b"new"})


@pytest.mark.parametrize(("text", "expected"), [("60s", 60), ("1h30m", 5400), ("1.5h", 5400), ("0s", 0), ("2592000s", 2592000)])
def test_durations_of_kubernetes_are_read(text, expected):
    assert seconds(text, "spec.ttl") == expected


@pytest.mark.parametrize("text", ["", "60", "1d", "s", "1h30", "-1h", "1..5h", "h1"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigurationRefused, match="is no duration"):
        seconds(text, "spec.ttl")


KEYS = {
    "release-storage": {"access_key", "secret_key"}, "release-signing": {"key.pem"}, "gateway-tls": {"tls.crt", "tls.key", "ca.crt"},
    "client-revocations": {"revocations.json"},
}  # fmt: skip


def _resources():
    return [yaml.safe_load(path.read_text()) for path in sorted(GENERATED.rglob("vault*.yaml"))]


def test_every_secret_that_the_manifests_ask_for_can_be_made(openbao):
    resources = _resources()
    auths = {(found["metadata"]["namespace"], found["metadata"]["name"]): found["spec"] for found in resources if found["kind"] == "VaultAuth"}
    for found in resources:
        if found["kind"] == "VaultAuth":
            continue
        namespace, spec = found["metadata"]["namespace"], dict(found["spec"])
        auth = auths[namespace, spec["vaultAuthRef"]]
        if spec.get("commonName"):
            spec["commonName"] = "*.presage.local"  # as overlay local patches it
        document = made_by(found["kind"], namespace, auth["jwt"]["serviceAccount"], spec, mount=auth["mount"], role=auth["jwt"]["role"])
        data, _ = resolved(openbao, document)
        assert KEYS[spec["destination"]["name"]] <= set(data)
