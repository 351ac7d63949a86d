"""What holds a promotion: a freeze, or a domain that comes before and has not served the release alone for long enough. Never a way back."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from presage.errors import InputError
from presage.governance.rollout import Rollout
from presage.package.reference import parse_reference
from presage.release.records import read_records
from presage.release.standing import Place, read_standing


def held(tree: Path, place: Place, rollout: Rollout, domains: Mapping[str, str], uri: str, now: datetime) -> str:  # noqa: PLR0917
    """A sentence, or empty. tree: the commit's files; domains: name → namespace; uri: the release that would go on."""
    if (freeze := rollout.frozen(now)) is not None:
        return f"{freeze.id} holds promotions now: {freeze.because}"
    domain = next((name for name, namespace in domains.items() if namespace == place.application), place.domain)
    for earlier in rollout.before(domain):
        other = Place(place.overlay, domains[earlier], place.model)
        try:
            standing = read_standing(tree, other)
        except InputError:
            continue  # the overlay does not have that domain
        if standing.stable != uri or standing.canary is not None:
            return f"{earlier} comes before {domain} (policies/rollout.yaml), and {uri[:40]}… is not the one release that serves there"
        records = read_records(tree, other, parse_reference(uri))
        ended = [record for record in records if record.step.step in ("retire", "rollback", "switch")]
        if ended and now - datetime.fromisoformat(ended[-1].step.at) < rollout.after:
            return f"{earlier} has served {uri[:40]}… alone since {ended[-1].step.at} only; {domain} follows {rollout.after} after that (policies/rollout.yaml)"
    return ""
