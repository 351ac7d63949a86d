"""What the types of an access policy cannot say: names that lead somewhere, and what each kind of client must and must not have."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from presage.errors import InputError
from presage.governance.access.document import GATEWAY, GATEWAY_IDENTITY, METRICS, MONITORING, PIPELINES, AccessPolicy, Client, People, Workload
from presage.governance.access.people import KINDS

_NEEDS = {
    "outside": ("identity", "token", "of", "at_most", "certificate_lives"),
    "mesh": ("identity", "of", "at_most"),
    "monitoring": (),
}
LONGEST_CERTIFICATE = timedelta(days=30)
"""`max_ttl` of the authority's role for clients (manifests/vault/configuration.yaml)."""
_FIELDS = ("identity", "token", "of", "at_most", "certificate_lives")


def require_sense(policy: AccessPolicy, where: str) -> None:
    """Raise InputError with the first finding."""
    for clause, finding in findings(policy):
        raise InputError(f"{where}: {clause}: {finding}")


def findings(policy: AccessPolicy) -> Iterator[tuple[str, str]]:
    """(clause, what is wrong and the remedy), all of them."""
    ids = [clause.id for clause in (*policy.clients, *policy.people, *policy.workloads, policy.revoked_clients)] + [rotation.id for rotation in policy.rotation]
    yield from _twice("id", ids)
    yield from _twice("clients.name", (client.name for client in policy.clients))
    yield from _twice("clients.identity", (client.identity for client in policy.clients if client.identity))
    yield from _twice("people.name", (people.name for people in policy.people))
    yield from _twice("domains", policy.domains.values())
    revoked, readers = policy.revoked_clients, [workload.account for workload in policy.workloads if workload.reads]
    yield from _unknown(revoked.id, "read_by", revoked.read_by, readers, "which reads nothing from Vault. Name an account of workloads that reads.")
    for client in policy.clients:
        yield from _of_client(policy, client)
    for people in policy.people:
        yield from _of_people(policy, people)
    for workload in policy.workloads:
        yield from _of_workload(policy, workload)


def _of_client(policy: AccessPolicy, client: Client) -> Iterator[tuple[str, str]]:
    for field in _FIELDS:
        given, needed = getattr(client, field) is not None, field in _NEEDS[client.origin]
        if needed and not given:
            yield client.id, f"{field} is missing; a client from {client.origin} has one. Write it."
        elif given and not needed:
            yield client.id, f"{field} is written; a client from {client.origin} has none. Remove it."
    limit, life = client.at_most, client.certificate_lives
    if limit and limit.requests_per_day is not None and limit.requests_per_day < limit.burst:
        yield client.id, f"at_most.requests_per_day is {limit.requests_per_day}, less than burst ({limit.burst}): the day would be over at once. Raise it."
    if life and policy.revoked_clients.overlap >= life:
        yield client.id, f"certificate_lives is not longer than revoked_clients.overlap ({policy.revoked_clients.overlap}). Shorten the overlap."
    if life and life > LONGEST_CERTIFICATE:
        yield client.id, f"certificate_lives is longer than {LONGEST_CERTIFICATE.days} days, and Vault issues none that is. Shorten it."
    yield from _unknown(client.id, "may", client.may, policy.endpoints)
    yield from _unknown(client.id, "in", client.domains, policy.domains)
    if (METRICS in client.may) != (client.origin == MONITORING) or (client.origin == MONITORING and len(client.may) > 1):
        yield client.id, f"may is {', '.join(client.may)} from {client.origin}: metrics are read from monitoring, and nothing else is. Split the clause."
    if client.identity == GATEWAY_IDENTITY:
        yield client.id, f"identity is {client.identity}, the gateway's own: whoever comes through it would be this client. Give it another."
    if client.of not in (None, "incident"):
        yield client.id, f"of is {client.of!r}; the only service is incident. Name it."


def _of_people(policy: AccessPolicy, people: People) -> Iterator[tuple[str, str]]:
    yield from _unknown(people.id, "in", people.namespaces, (*policy.domains.values(), GATEWAY, PIPELINES, MONITORING))
    yield from _unknown(people.id, "may.see", people.may.see, KINDS)
    yield from _unknown(people.id, "may.remove", people.may.remove, KINDS)
    if not people.may.see and not people.may.remove:
        yield people.id, "may says nothing. Write what they may see, or remove the clause."


def _of_workload(policy: AccessPolicy, workload: Workload) -> Iterator[tuple[str, str]]:
    if workload.in_each_domain == (workload.namespace is not None):
        yield workload.id, "needs exactly one of namespace, in_each_domain: true. Write one."
    rotated = {rotation.what for rotation in policy.rotation}
    yield from _unknown(workload.id, "reads", workload.reads, rotated, "which rotation does not speak of. Say there how long it lives.")
    if "release-open" in workload.uses and "release-seal" in workload.uses:
        yield workload.id, "uses both release-open and release-seal: who publishes a release does not open others. Split the account."
    for needed in ("vault-token", *(["gateway-certificate"] if workload.certificate else [])):
        if workload.has_vault and needed not in rotated:
            yield workload.id, f"needs a life for {needed}, and rotation does not say it. Add it there."


def _unknown(clause: str, field: str, names: Iterable[str], known: Iterable[str], why: str = "") -> Iterator[tuple[str, str]]:
    known = tuple(known)
    for name in names:
        if name not in known:
            yield clause, f"{field} names {name!r}, {why or 'which is not known. There is: ' + ', '.join(sorted(known)) + '.'}"


def _twice(what: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield what, f"{name!r} is written twice. Give each its own."
        seen.add(name)
