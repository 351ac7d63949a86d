"""Everything that enforces a policy, compiled from what people wrote: `presage policies render`.

    files = compile_policies(root, now)         # path in the repository → text; pure but for reading policies/
    stale_files(root, files)                    # what is committed and is not that
    write_files(root, files)

now: approvals that have ended by then are left out, so that what is committed tells when it is time for new ones.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from presage.files import write_bytes
from presage.governance.access.compiling import MANIFESTS as PLATFORM
from presage.governance.access.compiling import VAULT, compile_access
from presage.governance.admission import MANIFESTS as ADMISSION
from presage.governance.admission import compile_admission
from presage.governance.admission.tiers import Literals
from presage.governance.approvers import Approvers
from presage.governance.data_classes import compile_data_classes, load_data_classes
from presage.governance.model_policy import ModelPolicy
from presage.governance.plans import PLANS, release_plans
from presage.governance.release_files import release_files
from presage.governance.repository import Policies
from presage.governance.retention.compiling import BUCKETS, bucket_lifecycles, retention_jobs
from presage.governance.retention.policy import RetentionPolicy
from presage.governance.revoked import RevokedReleases
from presage.governance.rollout import Rollout
from presage.governance.served import served_releases
from presage.governance.tiers import RiskTiers

GENERATED = (PLATFORM, VAULT, ADMISSION, BUCKETS, PLANS)
"""Folders that hold nothing but compiled files."""
_SCHEMAS: Mapping[str, type[BaseModel]] = {
    "risk-tiers": RiskTiers, "approvals": Approvers, "rollout": Rollout, "revocations": RevokedReleases,
    "retention": RetentionPolicy, "model": ModelPolicy,
}  # fmt: skip


def compile_policies(root: Path, now: datetime) -> dict[str, str]:
    """Raises InputError naming file, key, value and remedy."""
    policies = Policies.read(root)
    literals = Literals(
        policies.tiers,
        {name: policy.risk_tier for name, policy in policies.releases.items()},
        policies.approved(now),
        tuple(entry.digest for entry in policies.revoked.revoked),
        tuple(served_releases(root)),
    )
    in_pods = release_files(policies.access, policies.approvers, policies.approvals.rules, policies.good_statements(now), policies.revoked)
    files = compile_access(policies.access, [*in_pods, *retention_jobs(policies.retention_terms, policies.access)])
    files |= bucket_lifecycles(policies.retention) | release_plans(policies)
    files |= compile_admission(literals, list(policies.access.domains.values()))
    files |= compile_data_classes(load_data_classes(root / "policies" / "data-classes.yaml"))
    return files | {f"policies/schemas/{name}.json": json.dumps(_schema(name, kind), indent=2) + "\n" for name, kind in _SCHEMAS.items()}


def stale_files(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Files that are missing or differ, and files of the generated folders that the policies no longer give. root: the repository."""
    differing = {root / name for name, text in files.items() if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text}
    there = {path for folder in GENERATED for path in (root / folder).rglob("*") if path.is_file()}
    return sorted(differing | (there - {root / name for name in files}))


def write_files(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Make the repository hold exactly these files. The paths that changed."""
    changed = stale_files(root, files)
    for path in changed:
        text = files.get(path.relative_to(root).as_posix())
        if text is None:
            path.unlink()
        else:
            write_bytes(path, text.encode())
            path.chmod(0o644)
    return changed


def _schema(name: str, kind: type[BaseModel]) -> dict[str, Any]:
    title = "policies/models/NAME.yaml" if name == "model" else f"policies/{name}.yaml"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **kind.model_json_schema(), "title": title}
