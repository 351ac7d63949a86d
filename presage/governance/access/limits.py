"""How often each client may ask, as the request path reads it (`--client_limits`): one document a domain."""

import json
from collections.abc import Iterator

from presage.governance.access.compiled import Compiled, manifest
from presage.governance.access.document import AccessPolicy, Limit

SCHEMA = "presage.client-limits/v1"


def client_limits(policy: AccessPolicy) -> Iterator[Compiled]:
    """ConfigMap client-limits of every domain: limits.json, clients by SPIFFE id."""
    for domain, namespace in policy.domains.items():
        clients = [client for client in policy.clients_of(domain) if client.identity and client.at_most]
        document = {
            "schema": SCHEMA,
            "clients": {client.spiffe_id: _limit(client.at_most) for client in clients if client.at_most},
            "default": _limit(policy.unnamed_at_most),
        }
        found = manifest("v1", "ConfigMap", "client-limits", namespace, data={"limits.json": json.dumps(document, indent=2) + "\n"})
        yield Compiled(domain, tuple(client.id for client in clients), "How often each client may ask. Pods read it anew from its file.", found)


def _limit(limit: Limit) -> dict[str, int]:
    return {"requests_per_minute": limit.requests_per_minute, "burst": limit.burst} | (
        {"requests_per_day": limit.requests_per_day} if limit.requests_per_day else {}
    )
