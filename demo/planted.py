"""Releases that are not what they should be, made as somebody would make them: with a real store, real packages and, but for one, a real signature.

    worse(store, …)       passes the gate, as it is well signed and within its contract: its calibration was mixed up
    another(store, …)     a good one, of the same packages
    tampered(store, …)    somebody who can write to the store, and holds no key, swapped the model of a good one
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from presage.files import canonical_json, sha256_bytes
from presage.governance.model_policy import ModelPolicy
from presage.package import oci
from presage.package.calibration import VennAbers
from presage.package.composing import compose_release, keep
from presage.package.keys import SigningKey, Trust
from presage.package.layout import RELEASE, RELEASE_SIGNATURE
from presage.package.oci import Descriptor
from presage.package.reference import Reference
from presage.package.signing import SIGNATURE_FILE, sign_folder
from presage.package.store import Published, ReleaseStore

_CALIBRATION = "calibration.safetensors"


def worse(store: ReleaseStore, key: SigningKey, policy: ModelPolicy, scratch: Path, by: float = 0.3) -> Published:
    """The last release's primary with every risk so much higher. scratch: a folder for the package while it is signed."""
    files, member = _primary(store)
    folder = scratch / member["model"]
    folder.mkdir(parents=True, mode=0o700)
    for name in member["files"]:
        (folder / name).write_bytes(files[name])
    (folder / _CALIBRATION).write_bytes(_shifted(files[_CALIBRATION], by))
    sign_folder(folder, key)
    trust = Trust.of([key.public])
    stored = store.add(folder, trust)
    keep(store, stored)
    return compose_release(policy.name, {"primary": stored.digest}, store, policy, key, trust=trust, default=0.5)


def another(store: ReleaseStore, key: SigningKey, policy: ModelPolicy, of: Reference) -> Published:
    """A release of the same packages as `of`; only its default answer is another, so that it is another release."""
    members = json.loads(store.fetch(of).contents[RELEASE])["members"]
    roles = {member["role"]: member["package"] for member in members}
    version = store.versions(policy.name)[-1] + 1
    return compose_release(policy.name, roles, store, policy, key, trust=Trust.of([key.public]), default=0.01 * version)


def tampered(store: ReleaseStore, of: Reference) -> Reference:
    """In the place of `of`: its primary's risks are all 0.3 lower, its document names the swapped package, its signatures are the old ones."""
    files, member = _primary(store, of)
    contents = store.fetch(of).contents
    layout = store.layout
    package = store.put_package(member["model"], {**files, _CALIBRATION: _shifted(files[_CALIBRATION], -0.3)}, json.loads(files["lineage.json"]))
    document = json.loads(contents[RELEASE])
    next(one for one in document["members"] if one["role"] == "primary")["package"] = package.digest
    content = canonical_json(document)
    forged = Reference(of.name, of.version, f"sha256:{sha256_bytes(content)}")
    before = layout.read_index(store.entry(of, layout.top().manifests))
    others = [(one.annotations["io.presage.role"], one) for one in before.manifests if one.annotations["io.presage.role"] not in ("primary", "release")]
    members = [("primary", package), ("signature", store.put_signature(files[SIGNATURE_FILE], package)), *others]
    entry = store.put_entry(forged, document["created"], [*members, ("release", store.put_release(content, contents[RELEASE_SIGNATURE]))])

    def replace(entries: list[Descriptor]) -> None:
        name = entry.annotations[oci.REF_NAME]
        entries[:] = [one for one in entries if one.annotations.get(oci.REF_NAME) != name] + [entry]

    layout.update(replace)
    return forged


def _primary(store: ReleaseStore, of: Reference | None = None) -> tuple[dict[str, bytes], dict[str, Any]]:
    """(name → bytes, what the release says of it) of the primary's package."""
    contents = store.fetch(of or store.latest("incident")).contents
    member: dict[str, Any] = next(one for one in json.loads(contents[RELEASE])["members"] if one["role"] == "primary")
    prefix = f"packages/{member['package'].removeprefix('sha256:')}/"
    return {path.removeprefix(prefix): content for path, content in contents.items() if path.startswith(prefix)}, member


def _shifted(calibration: bytes, by: float) -> bytes:
    good = VennAbers.load(calibration)
    return VennAbers(good.thresholds, np.clip(good.p0 + by, 0.0, 1.0), np.clip(good.p1 + by, 0.0, 1.0)).to_bytes()
