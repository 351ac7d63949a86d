"""What Vault Secrets Operator 1.4 would put into a Secret, for a machine on which it does not run.

    document = json of the annotation presage.io/made-by        {"kind", "namespace", "name", "auth", "spec", …}
    client = log_in(document, open_client(address, ca), token)  as the account that the VaultAuth names
    data, seconds = resolve(document, client)                   the Secret's keys, and when the operator would look again

    VaultStaticSecret    the fields of a kv secret
    VaultPKISecret       a new certificate: certificate, private_key, issuing_ca, serial_number, …; type kubernetes.io/tls adds
                         tls.crt, tls.key and ca.crt, but only where the manifest has no templates
    VaultDynamicSecret   whatever lies at a path

As the operator does, all fields are kept beside templates, and `_raw` unless excludeRaw. What it would do and this does not, is refused
by the field's name. Every message begins with the resource.
"""

import time
from collections.abc import Mapping
from math import inf
from typing import Any

import hvac

from presage.secrets.answers import read, write
from presage.secrets.errors import ConfigurationRefused, SecretsError
from presage.secrets.transformation import transformed
from presage.secrets.vault import login

TLS = "kubernetes.io/tls"
_UNASKED = 60.0  # seconds: how often the operator looks for drift where refreshAfter is not written
_NO_LEASE = 5.0  # seconds that it takes for a lease without an end
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_PKI_LISTS = {"altNames": "alt_names", "ipSans": "ip_sans", "uriSans": "uri_sans", "otherSans": "other_sans", "userIDs": "user_ids"}
# Fields that change what is fetched and are not honoured here.
_REFUSED = {
    "VaultStaticSecret": ("namespace",),
    "VaultPKISecret": ("namespace", "issuerRef", "notAfter"),
    "VaultDynamicSecret": ("namespace", "allowStaticCreds"),
}


def log_in(document: Mapping[str, Any], client: hvac.Client, token: str) -> hvac.Client:
    """Log in as the account of the resource's VaultAuth, with a service account token of it. Raises LoginRefused and others."""
    auth = document["auth"]
    try:
        return login(client, auth["mount"], auth["role"], token, source=f"the token of service account {auth.get('serviceAccount', '?')}")
    except SecretsError as error:
        raise type(error)(f"{label(document)}: {error.message}") from None


def resolve(document: Mapping[str, Any], client: hvac.Client) -> tuple[dict[str, bytes], float]:
    """(The Secret's keys, seconds until the operator would look again). client: logged in. Raises SecretsError."""
    kind, spec = document["kind"], document["spec"]
    try:
        if kind not in _REFUSED:
            raise ConfigurationRefused(f"{kind} is no resource that is resolved here. Known: {', '.join(sorted(_REFUSED))}.")
        if refused := next((field for field in _REFUSED[kind] if spec.get(field)), None):
            raise ConfigurationRefused(f"spec.{refused} is {spec[refused]!r}, which is not honoured here. Remove the field.")
        if kind == "VaultStaticSecret":
            return _static(spec, client)
        return _certificate(spec, client) if kind == "VaultPKISecret" else _dynamic(spec, client)
    except SecretsError as error:
        raise type(error)(f"{label(document)}: {error.message}") from None


def label(document: Mapping[str, Any]) -> str:
    """`VaultStaticSecret models-network/release-storage`."""
    return f"{document['kind']} {document['namespace']}/{document['name']}"


def seconds(text: str, field: str) -> float:
    """A duration of Kubernetes' (`1h30m`, `600s`). field: where it is written."""
    total, number = 0.0, ""
    for mark in text:
        if mark.isdigit() or mark == ".":
            number += mark
        elif mark in _UNITS and number.count(".") <= 1 and number.strip("."):
            total, number = total + float(number) * _UNITS[mark], ""
        else:
            break
    else:
        if text and not number:
            return total
    raise ConfigurationRefused(f"{field} is {text!r}, which is no duration. Write hours, minutes and seconds: 1h30m, 600s.")


def _static(spec: Mapping[str, Any], client: hvac.Client) -> tuple[dict[str, bytes], float]:
    mount, path = spec["mount"].strip("/"), spec["path"].strip("/")
    if spec["type"] == "kv-v2":
        version = f"?version={int(spec['version'])}" if spec.get("version") else ""
        answer = read(client, f"{mount}/data/{path}{version}")
        fields = answer.get("data") or {}
    else:
        answer = fields = read(client, f"{mount}/{path}")
    again = seconds(spec["refreshAfter"], "spec.refreshAfter") if spec.get("refreshAfter") else _UNASKED if spec.get("hmacSecretData", True) else inf
    return transformed(fields, answer, _transformation(spec)), again


def _certificate(spec: Mapping[str, Any], client: hvac.Client) -> tuple[dict[str, bytes], float]:
    destination, transformation = spec["destination"], _transformation(spec)
    templates = transformation.get("templates") or {}
    if destination.get("type") == TLS and templates and not {"tls.crt", "tls.key"} <= set(templates):
        raise ConfigurationRefused(
            "destination.transformation.templates: beside templates the operator writes no tls.crt and tls.key, and a Secret of type kubernetes.io/tls "
            "without them is refused. Remove the templates (ca.crt then holds the issuing authority), or add one for each."
        )
    wanted = {name: ",".join(spec.get(field) or ()) for field, name in _PKI_LISTS.items()}
    wanted |= {"common_name": spec.get("commonName", ""), "ttl": spec.get("ttl", ""), "format": spec.get("format") or "pem"}
    if spec.get("privateKeyFormat"):
        wanted["private_key_format"] = spec["privateKeyFormat"]
    offset = seconds(spec["expiryOffset"], "spec.expiryOffset") if spec.get("expiryOffset") else 0.0
    flags = {"exclude_cn_from_sans": bool(spec.get("excludeCNFromSans")), "remove_roots_from_chain": True}
    made = write(client, f"{spec['mount'].strip('/')}/issue/{spec['role']}", {name: value for name, value in wanted.items() if value} | flags)
    left = float(made["expiration"]) - time.time()
    if offset >= left:
        raise ConfigurationRefused(
            f"spec.expiryOffset is {spec['expiryOffset']!r} and the certificate lives {round(left)}s, so it would be renewed without end. "
            "Shorten the offset, or lengthen spec.ttl and the role's max_ttl."
        )
    data = transformed(made, made, transformation)
    if data.get("ca_chain"):
        data["ca_chain"] = "\n".join(made["ca_chain"]).encode()
    if destination.get("type") == TLS and not templates:
        data = _as_tls(data)
    return data, left - offset if offset else left * 0.95


def _as_tls(data: dict[str, bytes]) -> dict[str, bytes]:
    """A chain is the intermediates; the operator writes ca.crt only where there is none, which is so where a root issues itself."""
    made = dict(data)
    authority = data.get("ca_chain", b"")
    if authority in (b"", b"null", b"[]"):
        authority = made["ca.crt"] = data.get("issuing_ca", b"")
    if "certificate" in data:
        made["tls.crt"] = data["certificate"] + (b"\n" + authority if authority else b"")
    if "private_key" in data:
        made["tls.key"] = data["private_key"]
    return made


def _dynamic(spec: Mapping[str, Any], client: hvac.Client) -> tuple[dict[str, bytes], float]:
    path = f"{spec['mount'].strip('/')}/{spec['path'].strip('/')}"
    writes = bool(spec.get("params")) or spec.get("requestHTTPMethod", "GET") != "GET"
    fields = write(client, path, spec.get("params") or {}) if writes else read(client, path)
    again = seconds(spec["refreshAfter"], "spec.refreshAfter") if spec.get("refreshAfter") else _NO_LEASE
    return transformed(fields, fields, _transformation(spec)), again


def _transformation(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = spec["destination"].get("transformation") or {}
    return found
