"""What retention goes by: the policy, and the tier and region of each model. One document with one digest, which entries of the audit log name.

    terms = Terms.of(policies)                       from a repository
    terms = Terms.parse(content, "retention.json")   compiled, as a job in a cluster has it
    terms.digest                                     sha256:…
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from presage.errors import InputError
from presage.files import canonical_json, sha256_bytes
from presage.governance.document import Document
from presage.governance.retention.policy import RetentionPolicy
from presage.governance.tiers import RiskTier

if TYPE_CHECKING:
    from presage.governance.model_policy import ModelPolicy

SCHEMA = "presage.retention/v1"
LIMIT = 1 << 20


class ModelTerms(Document):
    tier: RiskTier
    region: str


class _Document(Document):
    schema_: str
    policy: RetentionPolicy
    models: dict[str, ModelTerms]


@dataclass(frozen=True)
class Terms:
    """models: name of a model or a release → its tier and region."""

    policy: RetentionPolicy
    models: Mapping[str, ModelTerms]

    @classmethod
    def of(cls, policy: RetentionPolicy, releases: "Mapping[str, ModelPolicy]") -> "Terms":
        """releases: name of a release → the policy of its model."""
        return cls(policy, {name: ModelTerms(tier=model.risk_tier, region=model.region) for name, model in sorted(releases.items())})

    @classmethod
    def parse(cls, content: bytes, where: str) -> "Terms":
        """Raises InputError where it is no compiled policy."""
        import orjson

        try:
            document = orjson.loads(content[: LIMIT + 1])
            if document.pop("schema") != SCHEMA:
                raise ValueError
            found = TypeAdapter(_Document).validate_python({"schema_": SCHEMA, **document})
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
            raise InputError(f"{where}: no compiled policy of retention. Name what `presage policies render` wrote, or leave --policy out.") from None
        return cls(found.policy, found.models)

    @cached_property
    def content(self) -> bytes:
        """Canonical JSON; what `parse` reads."""
        models = {name: one.model_dump(mode="json") for name, one in self.models.items()}
        return canonical_json({"schema": SCHEMA, "policy": self.policy.model_dump(mode="json", by_alias=True, exclude_defaults=True), "models": models})

    @cached_property
    def digest(self) -> str:
        return f"sha256:{sha256_bytes(self.content)}"

    def tier(self, model: str) -> RiskTier | None:
        """None where no policy names the model: then the longest time counts."""
        return found.tier if (found := self.models.get(model)) else None

    def region(self, model: str) -> str:
        return found.region if (found := self.models.get(model)) else ""
