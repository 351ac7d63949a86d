"""Where a model comes from, as one document: data, code, lock, declaration, policy, run."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage.features.declaration import BoundView
from presage.files import canonical_json, sha256_bytes, sha256_file
from presage.governance.model_policy import ModelPolicy


@dataclass(frozen=True)
class RunIdentity:
    """The run that makes a package. created: RFC 3339, the run's own time, so that packaging twice gives the same bytes;
    code, lock: digests of what computed it; seed: of everything random."""

    run_id: str
    created: str
    code: str
    lock: str
    seed: int
    pipeline: str = "incident-training"


def folder_digest(folder: Path) -> str:
    """`sha256:<hex>` over every file's relative path and content: names one snapshot of data."""
    files = {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    return f"sha256:{hashlib.sha256(canonical_json(files)).hexdigest()}"


def lock_digest() -> str:
    """`sha256:<hex>` of the lock that this code was installed from; `unknown` in a distribution that does not carry it."""
    lock = Path(__file__).parents[2] / "requirements.lock"
    return f"sha256:{sha256_file(lock)}" if lock.exists() else "unknown"


def policy_digest(policy: ModelPolicy) -> str:
    return f"sha256:{sha256_bytes(canonical_json(policy.model_dump(mode='json')))}"


def lineage(run: RunIdentity, source: str, snapshot: str, bound: BoundView, policy: ModelPolicy) -> dict[str, Any]:
    """lineage.json, but for the model's own name and family, which the package adds."""
    return {
        "schema": "presage.lineage/v1",
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "created": run.created,
        "seed": run.seed,
        "data": {"source": source, "digest": snapshot},
        "code": run.code,
        "lock": run.lock,
        "features": {"view": bound.view.name, "version": bound.version, "metrics": list(bound.metrics)},
        "policy": {"name": policy.name, "digest": policy_digest(policy)},
    }
