"""The same small release (benchmarks/serving_release.py), composed by a policy that asks for another level of the journal."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmarks.serving_release import POLICY, Site
from presage.governance.model_policy import GuardsPolicy, load_model_policy
from presage.package.gate import admit
from presage.package.keys import Trust, local_key
from presage.package.release import compose
from presage.package.store import ReleaseStore

Level = Literal["process", "disk", "replicated"]
LEVELS: tuple[Level, ...] = ("process", "disk", "replicated")


def site_at(level: Level, site: Site, root: Path) -> Site:
    """A model folder under `root`; packages, keys and features stay the site's own."""
    made = site.model_dir.parent
    key, trust, store = local_key(made / "keys"), Trust.open(made / "keys"), ReleaseStore(root / "releases")
    packages = {member: store.add(made / "packages" / name, trust) for member, name in (("primary", "incident"), ("simpler", "incident-simpler"))}
    policy = load_model_policy(POLICY).model_copy(update={"journal": level, "guards": GuardsPolicy(replayed_per_minute=10**9)})
    published = store.publish(compose("incident", packages, policy, 0.15), packages, key)
    admit(published.uri, root / "models", store, trust)
    return replace(site, model_dir=root / "models")
