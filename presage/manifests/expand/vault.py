"""Vault Secrets Operator's resources → the Secrets that it will make, without data.

Each Secret says in one annotation how it is filled: the resource's own spec, the connection and the auth that it resolves to, and the
names of the keys it will have, as far as they follow from the resource (a static secret's are Vault's own: none are listed).
"""

import re
from typing import Any

from presage.files import canonical_json
from presage.manifests.expand.parts import Parts
from presage.manifests.expand.refusals import MissingReference, NotAdmitted, NotExpanded
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest

MADE_BY = "presage.io/made-by"
SECRETS = ("VaultStaticSecret", "VaultPKISecret", "VaultDynamicSecret")
TLS = "kubernetes.io/tls"
_ISSUED = ("ca_chain", "certificate", "expiration", "issuing_ca", "private_key", "private_key_type", "serial_number")
_SPEC = {
    "VaultStaticSecret": frozenset({"mount", "path", "type", "version", "refreshAfter", "hmacSecretData", "rolloutRestartTargets"}),
    "VaultPKISecret": frozenset({
        "mount", "role", "issuerRef", "commonName", "altNames", "ipSans", "uriSans", "otherSans", "userIDs", "ttl", "notAfter", "format", "privateKeyFormat",
        "excludeCNFromSans", "expiryOffset", "revoke", "clear", "rolloutRestartTargets",
    }),
    "VaultDynamicSecret": frozenset({
        "mount", "path", "params", "requestHTTPMethod", "renewalPercent", "refreshAfter", "revoke", "allowStaticCreds", "rolloutRestartTargets",
    }),
}  # fmt: skip
_NEEDED = {"VaultStaticSecret": ("mount", "path", "type"), "VaultPKISecret": ("mount", "role"), "VaultDynamicSecret": ("mount", "path")}


def expand_vault_secret(manifest: Manifest, parts: Parts) -> list[Manifest]:
    """The Secret that one VaultStaticSecret, VaultPKISecret or VaultDynamicSecret becomes. Raises FieldError."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    written = spec.raw()
    auth, connection = _auth(spec, metadata, parts)
    destination = spec.inside("destination")
    for name in _NEEDED[kind]:
        spec.take(name, str)
    spec.rest(_SPEC[kind])
    name, secret_type = destination.take("name", str), destination.take("type", str, "Opaque")
    if not destination.take("create", bool, False):
        problem = f"is not true: the operator would only fill a Secret {name!r} that somebody else made. Write true."
        raise NotExpanded(spec.place, f"{destination.path}.create", problem)
    destination.optional("overwrite", bool)
    labels, annotations = destination.mapping("labels"), destination.mapping("annotations")
    keys = _keys(kind, secret_type, destination.inside("transformation"))
    destination.finish()
    made_by = {
        "kind": kind, "name": metadata["name"], "namespace": metadata.get("namespace", "default"),
        "connection": connection, "auth": auth, "spec": written, "keys": keys,
    }  # fmt: skip
    described = {
        "name": name, **({"namespace": metadata["namespace"]} if metadata.get("namespace") else {}), **({"labels": labels} if labels else {}),
        "annotations": {**annotations, MADE_BY: canonical_json(made_by).decode()},
    }  # fmt: skip
    return [{"apiVersion": "v1", "kind": "Secret", "metadata": described, "type": secret_type}]


def read_vault_auth(manifest: Manifest, parts: Parts) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """(auth, connection, allowed namespaces) of one VaultAuth. Raises FieldError."""
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    method, mount = spec.take("method", str), spec.take("mount", str)
    if method not in ("jwt", "kubernetes"):
        raise NotExpanded(spec.place, "spec.method", f"is {method!r}; only jwt and kubernetes prove a ServiceAccount. Write one of them.")
    how = spec.inside(method)
    role, account, audiences = how.take("role", str), how.take("serviceAccount", str, "default"), list(how.texts("audiences"))
    how.optional("tokenExpirationSeconds", int)
    how.finish()
    namespace = manifest["metadata"].get("namespace", "default")
    connection = _connection(spec, namespace, parts)
    allowed = list(spec.texts("allowedNamespaces"))
    spec.finish()
    return {"method": method, "mount": mount, "role": role, "serviceAccount": account, "audiences": audiences}, connection, allowed


def read_vault_connection(manifest: Manifest) -> dict[str, Any]:
    """Address and, where there is one, the Secret of the authority (key ca.crt). Raises FieldError."""
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    address, authority = spec.take("address", str), spec.optional("caCertSecretRef", str)
    if not re.match(r"https?://[^/]+", address):
        raise FieldError(spec.place, "spec.address", f"is {address!r}, no address. Write https://HOST:PORT.")
    if spec.take("skipTLSVerify", bool, False):
        raise NotExpanded(spec.place, "spec.skipTLSVerify", "is true: anybody could answer for Vault. Set it false and name caCertSecretRef.")
    spec.finish()
    return {"address": address, **({"caCertSecretRef": authority} if authority else {})}


def _auth(spec: Fields, metadata: dict[str, Any], parts: Parts) -> tuple[dict[str, Any], dict[str, Any]]:
    own = metadata.get("namespace", "default")
    named = spec.optional("vaultAuthRef", str)
    if not named:
        raise MissingReference(spec.place, "spec.vaultAuthRef", "is missing: the operator's own default would be used, which is not here. Name a VaultAuth.")
    namespace, _, name = named.rpartition("/")
    found = parts.named("VaultAuth", namespace or own, name)
    if found is None:
        raise MissingReference(spec.place, "spec.vaultAuthRef", f"is {named!r}, and no VaultAuth is called so. Add it, or name another.")
    auth, connection, allowed = read_vault_auth(found, parts)
    if namespace and namespace != own and own not in allowed and "*" not in allowed:
        listed = ", ".join(allowed) or "none"
        raise NotAdmitted(spec.place, "spec.vaultAuthRef", f"is {named!r}, whose allowedNamespaces ({listed}) leave {own} out. Name one of its own namespace.")
    return auth, connection


def _connection(spec: Fields, own: str, parts: Parts) -> dict[str, Any]:
    named = spec.optional("vaultConnectionRef", str)
    if not named:
        raise MissingReference(spec.place, "spec.vaultConnectionRef", "is missing: the operator's own default would be used, which is not here. Name one.")
    namespace, _, name = named.rpartition("/")
    found = parts.named("VaultConnection", namespace or own, name)
    if found is None:
        raise MissingReference(spec.place, "spec.vaultConnectionRef", f"is {named!r}, and no VaultConnection is called so. Add it, or name another.")
    return read_vault_connection(found)


def _keys(kind: str, secret_type: str, transformation: Fields) -> list[str]:
    raw = not transformation.take("excludeRaw", bool, False)
    includes, excludes = transformation.texts("includes"), transformation.texts("excludes")
    templates = transformation.take("templates", dict, {})
    if transformation.optional("transformationRefs", list):
        raise NotExpanded(transformation.place, f"{transformation.path}.transformationRefs", "are not followed. Write the templates here.")
    transformation.finish()
    named = list(templates)
    if kind == "VaultPKISecret":
        kept = [key for key in _ISSUED if not _matches(excludes, key) and (not includes or _matches(includes, key))]
        named += [*kept, *(["_raw"] if raw else []), *(["tls.crt", "tls.key"] if secret_type == TLS else [])]
    elif raw or ".*" not in excludes:
        return []
    return sorted(set(named))


def _matches(patterns: tuple[str, ...], key: str) -> bool:
    return any(re.search(pattern, key) for pattern in patterns)
