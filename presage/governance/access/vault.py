"""What each account may have from Vault: its role and policy there, and here the operator's objects that fetch it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from presage.durations import format_duration
from presage.governance.access.compiled import COMMON, Compiled, manifest
from presage.governance.access.document import AccessPolicy, Workload

AUDIENCE, AUTH_MOUNT, KV_MOUNT, EDGE_MOUNT = "vault", "jwt", "kv", "pki-edge"
_API = "secrets.hashicorp.com/v1beta1"
REVOCATIONS = "presage/clients/revocations"
_OPERATOR_TOKEN_SECONDS = 600


def vault_objects(policy: AccessPolicy) -> Iterator[Compiled]:
    """VaultAuth, VaultStaticSecrets and VaultPKISecret of each account that has anything there."""
    for workload in policy.workloads:
        for domain, namespace in policy.accounts(workload):
            if not (workload.reads or workload.certificate):
                continue
            for found in (_auth(workload, namespace), *_statics(policy, workload, namespace), *_certificates(policy, workload, namespace)):
                yield Compiled(domain or COMMON, (workload.id,), f"{workload.title}. {workload.rationale}", found)
            if workload.account in (revoked := policy.revoked_clients).read_by:
                yield Compiled(domain or COMMON, (revoked.id,), f"{revoked.title}. {revoked.rationale}", _revocations(policy, workload, namespace))


def vault_roles(policy: AccessPolicy) -> list[dict[str, Any]]:
    """Roles of the jwt method, one an account: who it is, what it may, for how long."""
    return [
        {
            "name": f"{namespace}.{workload.account}",
            "bound_service_account": {"namespace": namespace, "name": workload.account},
            "audience": AUDIENCE,
            "policies": [*workload.uses, *([f"{namespace}.{workload.account}"] if workload.reads or workload.certificate else [])],
            "ttl": f"{_seconds(policy.lives('vault-token'))}s",
        }
        for workload in policy.workloads if workload.has_vault
        for _, namespace in policy.accounts(workload)
    ]  # fmt: skip


def vault_policies(policy: AccessPolicy) -> Iterator[tuple[str, str, str]]:
    """(name, comment, HCL): what an account reads of its own namespace, and which certificate it is issued."""
    for workload in policy.workloads:
        for _, namespace in policy.accounts(workload):
            rules = [_rule(f"{KV_MOUNT}/data/presage/{namespace}/{secret}", "read") for secret in workload.reads]
            if workload.account in policy.revoked_clients.read_by:
                rules.append(_rule(f"{KV_MOUNT}/data/{REVOCATIONS}", "read"))
            if workload.certificate:
                rules.append(_rule(f"{EDGE_MOUNT}/issue/{workload.certificate.role}", "create", "update"))
            if rules:
                yield f"{namespace}.{workload.account}", f"{workload.id}: {workload.title}. {workload.rationale}", "\n".join(rules)


def _rule(path: str, *capabilities: str) -> str:
    words = ", ".join(f'"{capability}"' for capability in capabilities)
    return f'path "{path}" {{\n  capabilities = [{words}]\n}}\n'


def _auth(workload: Workload, namespace: str) -> dict[str, Any]:
    jwt = {
        "role": f"{namespace}.{workload.account}", "serviceAccount": workload.account, "audiences": [AUDIENCE],
        "tokenExpirationSeconds": _OPERATOR_TOKEN_SECONDS,
    }  # fmt: skip
    spec = {"method": "jwt", "mount": AUTH_MOUNT, "vaultConnectionRef": "vault", "jwt": jwt}
    return manifest(_API, "VaultAuth", workload.account, namespace, spec=spec)


def _statics(policy: AccessPolicy, workload: Workload, namespace: str) -> Iterator[dict[str, Any]]:
    for secret in workload.reads:
        destination = {"name": secret, "create": True, "overwrite": False, "transformation": {"excludeRaw": True}}
        spec = {
            "vaultAuthRef": workload.account, "mount": KV_MOUNT, "type": "kv-v2", "path": f"presage/{namespace}/{secret}",
            "refreshAfter": f"{_seconds(policy.read_again_after)}s", "hmacSecretData": True, "destination": destination,
        }  # fmt: skip
        found = manifest(_API, "VaultStaticSecret", secret, namespace, spec=spec)
        found["metadata"]["annotations"] = {"presage.io/rotate-every": format_duration(policy.lives(secret))}
        yield found


def _revocations(policy: AccessPolicy, workload: Workload, namespace: str) -> dict[str, Any]:
    spec = {
        "vaultAuthRef": workload.account, "mount": KV_MOUNT, "type": "kv-v2", "path": REVOCATIONS,
        "refreshAfter": f"{_seconds(policy.revoked_clients.read_again_after)}s", "hmacSecretData": True,
        "destination": {"name": "client-revocations", "create": True, "overwrite": False, "transformation": {"excludeRaw": True}},
    }  # fmt: skip
    return manifest(_API, "VaultStaticSecret", "client-revocations", namespace, spec=spec)


def _certificates(policy: AccessPolicy, workload: Workload, namespace: str) -> Iterator[dict[str, Any]]:
    if workload.certificate is None:
        return
    lives = _seconds(policy.lives("gateway-certificate"))
    # Without templates the operator itself writes tls.crt, tls.key and ca.crt; beside them it would not.
    destination = {
        "name": workload.certificate.secret, "create": True, "overwrite": False, "type": "kubernetes.io/tls", "transformation": {"excludeRaw": True},
    }  # fmt: skip
    spec = {
        "vaultAuthRef": workload.account, "mount": EDGE_MOUNT, "role": workload.certificate.role,
        "commonName": "*.presage.invalid", "format": "pem", "ttl": f"{lives}s", "expiryOffset": f"{lives // 3}s", "destination": destination,
    }  # fmt: skip
    yield manifest(_API, "VaultPKISecret", workload.certificate.secret, namespace, spec=spec)


def _seconds(duration: timedelta) -> int:
    return round(duration.total_seconds())
