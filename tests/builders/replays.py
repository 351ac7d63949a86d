"""A log that a real server wrote, and other releases to decide it again by."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER, POLICY, Site
from presage.features.detectors import Detectors
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.package.keys import Trust, local_key
from presage.package.package import PackageParts, build_package
from presage.package.release import compose, verify_folder
from presage.package.store import ReleaseStore

ROWS = 40


@dataclass(frozen=True)
class Answered:
    """log: what the server shipped; answers: what it said, in order; store: a copy of the site's releases, to publish others into."""

    log: Path
    answers: list[dict[str, Any]]
    site: Site
    releases: Path
    keys: Path

    @property
    def store(self) -> ReleaseStore:
        return ReleaseStore(self.releases)


def answer(site: Site, folder: Path) -> Answered:
    """A server answers by name and for given rows, with reasons and without, then ends."""
    answers: list[dict[str, Any]] = []
    names = [field.name for field in site.contract.inputs]
    with ServerProcess(site, folder / "server") as server, httpx2.Client(base_url=server.address, timeout=60) as client:
        for explain in (False, True):
            asked = client.post("/predict", json={"servers": [*site.servers, NEWCOMER], "explain": explain}, headers={"x-request-id": "call 10.1.2.3"})
            answers += asked.raise_for_status().json()["predictions"]
        for row in site.x[:: len(site.x) // ROWS][:ROWS]:
            given = {name: float(value) for name, value in zip(names, row, strict=True) if not np.isnan(value)}
            answers += client.post("/predict", json={"rows": [given]}).raise_for_status().json()["predictions"]
    shutil.copytree(site.model_dir.parent / "releases", folder / "releases")
    shutil.copytree(site.trust_keys, folder / "keys")
    return Answered(server.prediction_log, answers, site, folder / "releases", folder / "keys")


def publish(answered: Answered, folder: Path, *, primary: str = "primary", detectors: bytes | None = None, policy: ModelPolicy | None = None) -> str:
    """The URI of another release over the same packages: another first member, other detectors, or another policy."""
    key, trust = local_key(answered.keys), Trust.open(answered.keys)
    served = verify_folder(answered.site.model_dir, trust)
    packages: dict[str, Any] = {}
    for number, id in enumerate(sorted(served.packages, key=lambda id: id != primary)):
        package = served.packages[id]
        files = package.files
        parts = PackageParts(
            model=package.model, family=package.member.family, onnx=package.onnx, contract=package.contract, calibration=package.calibration(),
            metrics={}, card=files["card.md"].decode(), lineage=package.document("lineage.json"), trees=files.get("trees.safetensors"),
            detectors=detectors or files.get("detectors.safetensors"),
        )  # fmt: skip
        build_package(parts, folder / package.model, key)
        packages[("primary", "simpler")[number]] = answered.store.add(folder / package.model, trust)
    draft = compose(served.name, packages, policy or load_model_policy(POLICY), served.document.default)
    return answered.store.publish(draft, packages, key).uri


def other_detectors(site: Site, folder: Path) -> bytes:
    """Detectors of the same names that were fitted on another fleet."""
    from benchmarks.serving_release import _detectors
    from presage.features.windows import compute
    from presage.telemetry.quarantine import Quarantine
    from presage.telemetry.sources import parse_source

    bound = site.contract.view
    telemetry = parse_source("simulated:servers=4,days=3,seed=11").read(Quarantine())
    fitted: Detectors = _detectors(compute(bound, telemetry.readings.select("entity", "time", *bound.metrics), telemetry.period).ticks, bound)
    folder.mkdir(parents=True, exist_ok=True)
    fitted.save(folder / "detectors.safetensors")
    return (folder / "detectors.safetensors").read_bytes()
