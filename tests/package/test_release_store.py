"""The release store: versions of a name, digests that do not depend on who signs, an OCI layout that others can read."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders.releases import parts, policy, world

from presage.errors import ArtifactRefused
from presage.files import sha256_bytes
from presage.package.keys import Trust, local_key
from presage.package.package import build_package
from presage.package.reference import Reference
from presage.package.release import compose, verify_folder
from presage.package.store import ReleaseStore


def test_versions_count_up_and_the_last_is_the_latest(tmp_path):
    made = world(tmp_path)
    second = made.publish({"primary": parts(seed=9)})
    assert made.store.versions("incident") == [1, 2]
    assert made.store.latest("incident") == second.reference
    assert second.document.ladder == ["primary", "rules", "default"]


def test_publishing_the_same_again_is_the_same_release(tmp_path):
    made = world(tmp_path)
    again = made.publish({"primary": parts(), "simpler": parts("incident-simpler", 8)})
    assert again.uri == made.published.uri
    assert made.store.versions("incident") == [1]


def test_a_package_has_one_digest_whoever_signs_it(tmp_path):
    digests = set()
    for owner in ("one", "two"):
        key = local_key(tmp_path / owner / "keys")
        build_package(parts(), tmp_path / owner / "incident", key)
        digests.add(ReleaseStore(tmp_path / owner / "releases").add(tmp_path / owner / "incident", Trust.of([key.public])).digest)
    assert len(digests) == 1


def test_publishing_from_many_sides_loses_no_version(tmp_path):
    made = world(tmp_path)
    stored = made.package(parts(seed=11))
    drafts = [compose("incident", {"primary": stored}, policy(), 0.1 + index / 100) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(lambda draft: made.store.publish(draft, {"primary": stored}, made.key), drafts))
    assert sorted(one.document.version for one in published) == list(range(2, 10))
    assert made.store.versions("incident") == list(range(1, 10))


def test_the_layout_is_what_the_specification_asks_for(tmp_path):
    made = world(tmp_path)
    folder = tmp_path / "releases"
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}

    def blob(descriptor):
        content = (folder / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        assert (len(content), f"sha256:{sha256_bytes(content)}") == (descriptor["size"], descriptor["digest"])
        return content

    (entry,) = json.loads((folder / "index.json").read_bytes())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "incident:1"
    manifests = [json.loads(blob(one)) for one in json.loads(blob(entry))["manifests"]]
    models = [one for one in manifests if one["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"]
    assert len(models) == 2
    for manifest in models:
        config = json.loads(blob(manifest["config"]))
        assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
        assert config["modelfs"]["diffIds"] == [layer["digest"] for layer in manifest["layers"]]
        assert all(blob(layer) and layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"])
        assert manifest["layers"][0]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    assert any(one.get("subject") for one in manifests)
    assert made.published.reference.digest == entry["annotations"]["io.presage.release.digest"]


def test_everything_in_the_store_is_its_owners_alone(tmp_path):
    world(tmp_path)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "releases").rglob("*") if path.is_file())


def test_a_damaged_index_is_said_with_its_place(tmp_path):
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ArtifactRefused, match=re.escape(f"{tmp_path}/index.json is no OCI document")):
        ReleaseStore(tmp_path).versions("incident")


def test_an_unknown_release_is_said_with_what_there_is(tmp_path):
    made = world(tmp_path)
    with pytest.raises(ArtifactRefused, match=r"incident:9 \(it has: 1\)"):
        made.store.fetch(Reference("incident", 9, "sha256:" + "0" * 64))
    with pytest.raises(ArtifactRefused, match="no release of other"):
        made.store.latest("other")


def test_a_verified_release_offers_its_parts(tmp_path):
    made = world(tmp_path)
    release = verify_folder(made.pod(), made.trust, made.published.uri)
    assert release.uri == made.published.uri
    assert release.primary.onnx == parts().onnx
    assert release.primary.calibration().one(0.5) == parts().calibration.one(0.5)
    assert release.primary.document("lineage.json")["run_id"] == "test"
    assert set(release.packages) == {"primary", "simpler"}
    assert release.document.thresholds == pytest.approx({"watch": 250 / 5250, "act": 1700 / 6700, "page": 7500 / 12500})
    assert release.document.policy["kpi"]["horizon"] == "1h"
