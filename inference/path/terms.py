"""What the path goes by of its model's policy, as the release carries it.

The whole policy was checked when the release was composed (presage.governance.model_policy), and the gate checked who signed that. Here only what a server
needs of it is read, and strictly: the library that checks all of it takes a third of what a server imports before it answers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from presage.durations import parse_duration
from presage.errors import ArtifactRefused, InputError


class Seconds(float):
    """Written as `250ms`."""


class BreakerTerms(msgspec.Struct, frozen=True):
    failures: Annotated[int, Meta(ge=1)]
    cooldown: Seconds
    longest_cooldown: Seconds
    recover: Annotated[int, Meta(ge=1)]


class LadderTerms(msgspec.Struct, frozen=True):
    slow_after: Seconds
    breaker: BreakerTerms
    drift_return: Annotated[float, Meta(gt=0, le=1)]


class BoundsTerms(msgspec.Struct, frozen=True):
    wait: Seconds
    deadline: Seconds


class GuardsTerms(msgspec.Struct, frozen=True):
    on_far: Literal["mark", "refuse"]
    replayed_per_minute: Annotated[int, Meta(ge=1)]


class Terms(msgspec.Struct, frozen=True):
    """What each means: presage/governance/model_policy.py, under the same names."""

    journal: Literal["process", "disk", "replicated"]
    explanation: Literal["never", "on_request", "always"]
    region: str
    ladder: LadderTerms
    bounds: BoundsTerms
    guards: GuardsTerms


def terms_of(policy: Mapping[str, Any]) -> Terms:
    """policy: the document in release.json. Raises ArtifactRefused."""
    try:
        return msgspec.convert(policy, Terms, dec_hook=_read)
    except msgspec.ValidationError as error:
        raise ArtifactRefused("contract", f"release.json holds a policy that cannot be read ({error}). Compose the release again.") from None


def _read(wanted: type, value: object) -> Seconds:
    """A duration. Raises ValueError, to which msgspec adds the place."""
    if wanted is not Seconds or not isinstance(value, str):
        raise ValueError(f"Expected a duration like 250ms, got {value!r:.100}")
    try:
        return Seconds(parse_duration(value).total_seconds())
    except InputError as error:
        raise ValueError(error.message) from None
