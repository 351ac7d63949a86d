"""The access policy as it is written: types, and what a type cannot say, checked in `require_sense`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveInt, StringConstraints, TypeAdapter, WithJsonSchema

from presage.documents import parse_as
from presage.durations import parse_duration
from presage.errors import InputError
from presage.files import read_text

TRUST_DOMAIN = "cluster.local"
GATEWAY, PIPELINES, MONITORING = "gateway", "pipelines", "monitoring"  # the platform's own namespaces
GATEWAY_IDENTITY = "gateway/presage-istio"  # Istio names a Gateway's account so
METRICS = "metrics"
GRPC_PATHS = "/inference.GRPCInferenceService/"
"""How the path of a gRPC call begins; it goes to a port of its own."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-[1-9][0-9]*$")]
Identity = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
Call = Annotated[str, StringConstraints(pattern=r"^(GET|POST) /[A-Za-z0-9/._-]*$")]
Group = Annotated[str, StringConstraints(pattern=r"^[a-z0-9:._-]+$")]
Sentence = Annotated[str, StringConstraints(min_length=3)]


def _duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(error.message) from None  # so that pydantic adds the key


Duration = Annotated[timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"})]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class _Clause(_Document):
    """What every clause says of itself, for the meeting in which it is read."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence


class Endpoint(_Document):
    """Calls that are allowed together."""

    title: Sentence
    calls: tuple[Call, ...] = Field(min_length=1)


class Limit(_Document):
    """What one client may ask: a steady rate, how much at once, and a quota by UTC's days. Requests, not rows."""

    requests_per_minute: PositiveInt
    burst: PositiveInt
    requests_per_day: PositiveInt | None = None


class Token(_Document):
    """The token (JWT) that a client outside shows beside its certificate."""

    subject: Name
    audience: Name


class Client(_Clause):
    """A program that calls. identity: namespace/account; its SPIFFE id follows from it."""

    name: Name
    origin: Literal["outside", "mesh", "monitoring"] = Field(alias="from")
    identity: Identity | None = None
    token: Token | None = None
    may: tuple[Name, ...] = Field(min_length=1)
    of: Name | None = None
    domains: tuple[Name, ...] = Field(alias="in", min_length=1)
    at_most: Limit | None = None
    certificate_lives: Duration | None = None

    @property
    def principal(self) -> str:
        """As an AuthorizationPolicy names it."""
        return principal(self.identity or "")

    @property
    def spiffe_id(self) -> str:
        return f"spiffe://{self.principal}"


class RevokedClients(_Clause):
    """The list of certificates that are refused before they end. read_by: accounts whose Pods read it; overlap: how long a replaced one holds."""

    read_by: tuple[Name, ...] = Field(min_length=1)
    read_again_after: Duration
    overlap: Duration


class GatewayLimit(_Document):
    requests_per_second: PositiveInt


class Gateway(_Document):
    owner: Sentence
    rationale: Sentence
    at_most: GatewayLimit


class Allowed(_Document):
    """Words of `people.KINDS`."""

    see: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class People(_Clause):
    """A role, and the groups that have it. namespaces: where."""

    name: Name
    groups: tuple[Group, ...] = Field(min_length=1)
    namespaces: tuple[Name, ...] = Field(alias="in", min_length=1)
    may: Allowed


class Certificate(_Document):
    """A certificate that Vault's edge authority issues under `role`, kept as `secret`."""

    secret: Name
    role: Name


class Workload(_Clause):
    """A program of ours, and what it may have from Vault. uses: policies written by hand. reads: secrets of its own namespace."""

    account: Name
    namespace: Name | None = None
    in_each_domain: bool = False
    uses: tuple[Literal["release-open", "release-seal"], ...] = ()
    reads: tuple[Name, ...] = ()
    certificate: Certificate | None = None

    @property
    def has_vault(self) -> bool:
        return bool(self.uses or self.reads or self.certificate)


class Rotation(_Document):
    id: Id
    what: Name
    lives: Duration
    rationale: Sentence


class AccessPolicy(_Document):
    domains: dict[Name, Name]
    endpoints: dict[Name, Endpoint]
    clients: tuple[Client, ...]
    unnamed_at_most: Limit
    revoked_clients: RevokedClients
    gateway: Gateway
    people: tuple[People, ...]
    workloads: tuple[Workload, ...]
    rotation: tuple[Rotation, ...]
    read_again_after: Duration

    def clients_of(self, domain: str, origin: str | None = None) -> list[Client]:
        """Clients that may call in `domain`, of one origin or of any."""
        return [client for client in self.clients if domain in client.domains and origin in (None, client.origin)]

    def client(self, name: str) -> Client:
        """The client of that name. Raises InputError naming those that there are."""
        found = next((client for client in self.clients if client.name == name and client.identity), None)
        if found is None:
            known = ", ".join(sorted(client.name for client in self.clients if client.identity))
            raise InputError(f"no client is named {name!r} in policies/access.yaml. There is: {known}.")
        return found

    def operations(self, *clients: Client) -> list[tuple[str, tuple[str, ...]]]:
        """(method, paths) of all that these clients may call, each once, in order."""
        calls = {tuple(call.split(" ", 1)) for client in clients for name in client.may for call in self.endpoints[name].calls}
        methods = sorted({method for method, _ in calls})
        return [(method, tuple(sorted(path for its, path in calls if its == method))) for method in methods]

    def lives(self, what: str) -> timedelta:
        """How long `what` lives; `require_sense` has made sure that it is said."""
        return next(rotation.lives for rotation in self.rotation if rotation.what == what)

    def accounts(self, workload: Workload) -> list[tuple[str | None, str]]:
        """(domain or None, namespace) of each place where the workload's account is."""
        return [*self.domains.items()] if workload.in_each_domain else [(None, workload.namespace or "")]


def principal(identity: str) -> str:
    """`cluster.local/ns/gateway/sa/presage-istio` of `gateway/presage-istio`."""
    namespace, account = identity.split("/")
    return f"{TRUST_DOMAIN}/ns/{namespace}/sa/{account}"


def load_access_policy(path: Path) -> AccessPolicy:
    """Read the policy. Raises InputError naming file, key, value and remedy."""
    return parse_access_policy(read_text(path, "access policy", "It lies in policies/access.yaml of the repository."), str(path))


def parse_access_policy(text: str, where: str) -> AccessPolicy:
    """The policy of a YAML text; `where` names its place in errors."""
    from presage.governance.access.sense import require_sense

    policy = parse_as(TypeAdapter(AccessPolicy), text, where)
    require_sense(policy, where)
    return policy
