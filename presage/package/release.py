"""A release: what a Pod loads. Its document, how it is composed, and what a verified one offers.

    release = verify_folder(Path("/mnt/models"), Trust.open(keys))
    release.uri                          presage://incident:7@sha256:…
    release.packages["primary"].files    verified bytes, never a path to be read again

The document is canonical JSON; its SHA-256 is the release's digest. It lists every package by its manifest's digest and
every file by its own, so nothing that is loaded can differ from what was approved. Signatures are not listed: they are
random, and named in the signed statement instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import msgspec
import orjson

from presage.errors import ArtifactRefused, InputError
from presage.files import canonical_json
from presage.package.calibration import VennAbers
from presage.package.contract import Contract
from presage.package.keys import Trust, TrustedKey
from presage.package.reference import Reference

if TYPE_CHECKING:
    from presage.governance.model_policy import ModelPolicy
    from presage.package.approvals import Approvals
    from presage.package.revocation import Revocations
    from presage.package.store import StoredPackage

Role = Literal["primary", "last_good", "simpler", "ensemble"]
Rung = Literal["primary", "last_good", "simpler", "rules", "default"]


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def member_id(role: Role, model: str) -> str:
    return f"ensemble/{model}" if role == "ensemble" else role


class Member(_Document, frozen=True):
    """role: what the path calls it for; model: its name; package: `sha256:<hex>` of its manifest; files: name → SHA-256 hex."""

    role: Role
    model: str
    family: str
    package: str
    files: dict[str, str]

    @property
    def id(self) -> str:
        """What the rest of the document calls it: its role, or `ensemble/<model>` as there may be several of those."""
        return member_id(self.role, self.model)

    @property
    def hex(self) -> str:
        return self.package.removeprefix("sha256:")


class Rule(_Document, frozen=True):
    """An engineer's heuristic: where `feature` is above or below the value, the risk is at least `risk`."""

    id: str
    feature: str
    risk: float
    because: str
    above: float | None = None
    below: float | None = None


class Route(_Document, frozen=True):
    """Requests whose context has one of these values under every key of `when` are answered by a member of `use` (ids): by the first
    that can, or, where `prefer` is `performance`, by the one that errs least and answers soonest at the moment."""

    when: dict[str, list[str]]
    use: list[str]
    prefer: Literal["order", "performance"] = "order"


class ContractName(_Document, frozen=True):
    name: str
    version: str


class ReleaseDocument(_Document, frozen=True):
    """ladder: rungs in the order the path tries them; default: the risk when nothing else answers (prevalence in training);
    thresholds: lowest risk of watch, act, page; policy: the model policy as JSON; tier: the risk tier it asks for; weights: member id →
    its share of the ensemble that answers the first rung (empty = the primary alone); router: the first route that fits decides instead."""

    name: str
    version: int
    created: str
    tier: Literal["low", "medium", "high"]
    members: list[Member]
    ladder: list[Rung]
    rules: list[Rule]
    default: float
    thresholds: dict[str, float]
    policy: dict[str, Any]
    contract: ContractName
    weights: dict[str, float] = {}
    router: list[Route] = []
    schema: str = "presage.release/v1"

    def to_json(self) -> bytes:
        return canonical_json(msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, content: bytes) -> "ReleaseDocument":
        """Raises ArtifactRefused("format")."""
        try:
            document = msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArtifactRefused("format", f"release.json does not follow presage.release/v1: {error}. Compose the release again.") from None
        if document.schema != "presage.release/v1":
            raise ArtifactRefused("format", f"release.json follows {document.schema[:100]!r}, not presage.release/v1. Compose the release again.")
        return document

    def member(self, role: Role) -> Member | None:
        return next((member for member in self.members if member.role == role), None)


@dataclass(frozen=True)
class Package:
    """One verified member: its parsed contract and the verified bytes of its files."""

    member: Member
    contract: Contract
    files: Mapping[str, bytes]

    @property
    def model(self) -> str:
        return self.member.model

    @property
    def onnx(self) -> bytes:
        return self.files["model.onnx"]

    def calibration(self) -> VennAbers:
        return VennAbers.load(self.files["calibration.safetensors"])

    def document(self, name: str) -> Any:
        """`metrics.json` or `lineage.json`, parsed."""
        return orjson.loads(self.files[name])


@dataclass(frozen=True)
class Release:
    """A verified release. digest: `sha256:<hex>` of its document; key: who signed it; packages: by member id."""

    document: ReleaseDocument
    digest: str
    key: TrustedKey
    packages: Mapping[str, Package]

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def version(self) -> int:
        return self.document.version

    @property
    def uri(self) -> str:
        return str(Reference(self.name, self.version, self.digest))

    @property
    def primary(self) -> Package:
        return self.packages["primary"]


def verify_folder(
    folder: Path, trust: Trust, uri: str | None = None, *, approvals: "Approvals | None" = None, revocations: "Revocations | None" = None
) -> Release:
    """The offline part of the gate over what lies in a Pod, before one byte is parsed. uri: what it must be, if known.

    approvals, revocations: as the gate has them. Raises ArtifactRefused; removes nothing.
    """
    from presage.package.layout import read_folder
    from presage.package.reference import parse_reference
    from presage.package.verification import verify

    expected = parse_reference(uri, allow_local=True) if uri else None
    return verify(read_folder(folder), trust, expected, revocations, approvals=approvals)


def compose(name: str, packages: Mapping[str, "StoredPackage"], policy: "ModelPolicy", default: float) -> ReleaseDocument:
    """A release over stored packages (by member id), by the model's policy; version 0 until the store publishes it.

    Raises InputError where the policy's ensemble or router names a member that is not there. default: the risk of last resort. created is the
    primary's, so that the same packages compose to the same document.
    """
    members = [Member(_role(id), stored.model, stored.family, stored.digest, dict(stored.files)) for id, stored in packages.items()]
    primary = packages["primary"]
    last: list[Rung] = ["rules", "default"] if policy.rules else ["default"]
    rungs: list[Rung] = [role for role in ("primary", "last_good", "simpler") if role in packages]
    families = {stored.family: id for id, stored in reversed(list(packages.items()))}
    weights = {_named(families, family, f"policy {policy.name}: ensemble"): weight for family, weight in policy.ensemble.items()}
    ids = families | {id: id for id in packages}
    where = f"policy {policy.name}: router"
    router = [
        Route({key: list(values) for key, values in route.when.items()}, [_named(ids, name, where) for name in route.use], route.prefer)
        for route in policy.router
    ]
    return ReleaseDocument(
        name=name,
        version=0,
        created=primary.created,
        tier=policy.risk_tier,
        members=members,
        ladder=[*rungs, *last],
        rules=[Rule(rule.id, rule.feature, rule.risk, rule.because, rule.above, rule.below) for rule in policy.rules],
        default=default,
        thresholds={str(tier): threshold for tier, threshold in policy.thresholds.items()},
        policy=policy.model_dump(mode="json"),
        contract=ContractName(primary.contract.name, primary.contract.version),
        weights=weights,
        router=router,
    )


def _role(id: str) -> Role:
    role = id.partition("/")[0]
    if role not in get_args(Role):
        raise InputError(f"{id[:100]!r} names no role of a release. Roles are {', '.join(get_args(Role))}.")
    return cast(Role, role)


def _named(known: Mapping[str, str], name: str, where: str) -> str:
    if name not in known:
        raise InputError(f"{where} names {name[:100]!r}, and the release has {', '.join(sorted(known))}. Add that member, or mend the policy.")
    return known[name]
