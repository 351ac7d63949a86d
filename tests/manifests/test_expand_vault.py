"""Vault Secrets Operator's resources, expanded to the Secrets that they will make."""

import json

import pytest

from presage.manifests.expand import expand
from presage.manifests.expand.refusals import MissingReference, NotAdmitted, NotExpanded
from presage.manifests.fields import FieldError


def vault(kind, name, spec, namespace="models"):
    return {"apiVersion": "secrets.hashicorp.com/v1beta1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def connection(**over):
    return vault("VaultConnection", "vault", {"address": "https://vault.vault.svc:8200", "caCertSecretRef": "vault-ca", "skipTLSVerify": False, **over})


def auth(**over):
    how = {"role": "models.incident", "serviceAccount": "incident", "audiences": ["vault"], "tokenExpirationSeconds": 600}
    return vault("VaultAuth", "incident", {"method": "jwt", "mount": "jwt", "jwt": how, "vaultConnectionRef": "vault", **over})


def static(namespace="models", **over):
    spec = {"vaultAuthRef": "incident", "mount": "kv", "path": "presage/models/release-storage", "type": "kv-v2", "refreshAfter": "60s",
            "destination": {"name": "release-storage", "create": True}, **over}  # fmt: skip
    return vault("VaultStaticSecret", "release-storage", spec, namespace)


def certificate(transformation=None, kind="kubernetes.io/tls", **over):
    destination = {"name": "gateway-tls", "create": True, "type": kind, **({"transformation": transformation} if transformation else {})}
    return vault("VaultPKISecret", "gateway-tls", {"vaultAuthRef": "incident", "mount": "pki", "role": "gateway", "destination": destination, **over})


def secret_of(*objects):
    (secret,) = expand([*objects])
    return secret


def made_by(*objects):
    return json.loads(secret_of(*objects)["metadata"]["annotations"]["presage.io/made-by"])


def test_a_static_secret_becomes_a_secret_without_data():
    secret = secret_of(static(), auth(), connection())
    assert (secret["kind"], secret["metadata"]["namespace"], secret["metadata"]["name"], secret["type"]) == ("Secret", "models", "release-storage", "Opaque")
    assert "data" not in secret


def test_it_says_how_it_is_filled():
    assert made_by(static(), auth(), connection()) == {
        "kind": "VaultStaticSecret", "name": "release-storage", "namespace": "models",
        "connection": {"address": "https://vault.vault.svc:8200", "caCertSecretRef": "vault-ca"},
        "auth": {"method": "jwt", "mount": "jwt", "role": "models.incident", "serviceAccount": "incident", "audiences": ["vault"]},
        "spec": static()["spec"], "keys": [],
    }  # fmt: skip


def test_the_annotation_is_canonical():
    text = secret_of(static(), auth(), connection())["metadata"]["annotations"]["presage.io/made-by"]
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def test_the_destinations_labels_and_annotations_are_kept():
    destination = {"name": "x", "create": True, "labels": {"a": "b"}, "annotations": {"c": "d"}}
    metadata = secret_of(static(destination=destination), auth(), connection())["metadata"]
    assert (metadata["labels"], metadata["annotations"]["c"]) == ({"a": "b"}, "d")


ONLY = {"excludeRaw": True, "excludes": [".*"]}
ISSUED = ["_raw", "ca_chain", "certificate", "expiration", "issuing_ca", "private_key", "private_key_type", "serial_number"]


@pytest.mark.parametrize(("resource", "keys"), [
    pytest.param(certificate(), sorted([*ISSUED, "tls.crt", "tls.key"]), id="a TLS certificate: as issued, and as Kubernetes names it"),
    pytest.param(certificate(kind="Opaque"), ISSUED, id="an opaque certificate: as issued"),
    pytest.param(certificate({**ONLY, "templates": {"ca.crt": {"text": "x"}}}), ["ca.crt", "tls.crt", "tls.key"],
                 id="templates and exclusions"),
    pytest.param(certificate({"excludeRaw": True, "includes": ["^certificate$"]}), ["certificate", "tls.crt", "tls.key"], id="inclusions"),
    pytest.param(static(), [], id="a static secret: only Vault knows"),
    pytest.param(static(destination={"name": "x", "create": True, "transformation": {**ONLY, "templates": {"key": {"text": "x"}}}}), ["key"],
                 id="a static secret of templates alone"),
])  # fmt: skip
def test_the_names_of_its_keys(resource, keys):
    assert made_by(resource, auth(), connection())["keys"] == keys


def test_an_auth_of_another_namespace_wants_to_be_allowed():
    shared = auth(allowedNamespaces=["other"])
    assert made_by(static("other", vaultAuthRef="models/incident"), shared, connection())["auth"]["role"] == "models.incident"
    with pytest.raises(NotAdmitted, match=r"allowedNamespaces \(other\) leave third out"):
        expand([static("third", vaultAuthRef="models/incident"), shared, connection()])


@pytest.mark.parametrize(("objects", "kind", "says"), [
    pytest.param([static(), connection()], MissingReference, "no VaultAuth", id="no VaultAuth"),
    pytest.param([static(vaultAuthRef=""), auth(), connection()], MissingReference, "operator's own default", id="no auth named"),
    pytest.param([static("other"), auth(), connection()], MissingReference, "no VaultAuth", id="an auth of another namespace by its bare name"),
    pytest.param([static(), auth()], MissingReference, "no VaultConnection", id="no VaultConnection"),
    pytest.param([static(), auth(vaultConnectionRef=""), connection()], MissingReference, "operator's own default", id="no connection named"),
    pytest.param([static(destination={"name": "x"}), auth(), connection()], NotExpanded, "create", id="a Secret that somebody else makes"),
    pytest.param([auth(method="appRole"), connection()], NotExpanded, "appRole", id="a method without an account"),
    pytest.param([connection(skipTLSVerify=True)], NotExpanded, "anybody could answer", id="TLS unchecked"),
    pytest.param([connection(address="vault:8200")], FieldError, "no address", id="no address"),
    pytest.param([static(refresh="60s"), auth(), connection()], FieldError, "refresh", id="an unknown field"),
    pytest.param([auth(jwt={"role": "x", "secretRef": "y"}), connection()], FieldError, "secretRef", id="a token from a Secret"),
    pytest.param([static(path=None), auth(), connection()], FieldError, "path is missing", id="no path"),
])  # fmt: skip
def test_what_is_refused_says_why(objects, kind, says):
    with pytest.raises(kind, match=says):
        expand(objects)
