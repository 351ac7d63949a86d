"""Releases composed from packages that lie in a store, and models imported into one."""

import csv
import os
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from builders.releases import LocalKeys, calibration, contract, copied, logistic, parts, policy, seal, world

from presage.errors import ArtifactRefused, InputError
from presage.files import sha256_bytes
from presage.package.calibration import VennAbers
from presage.package.composing import compose_release, find, packages
from presage.package.gate import admit
from presage.package.importing import import_model
from presage.package.keys import Trust, local_key, read_key
from presage.package.publishing import publish
from presage.package.release import verify_folder
from presage.package.store import ReleaseStore


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return world(tmp_path_factory.mktemp("first"))


@pytest.fixture
def made(first, tmp_path):
    return copied(first, tmp_path / "state")


def composed(made, members, **settings):
    return compose_release("incident", members, made.store, policy(), made.key, trust=made.trust, **({"default": 0.05} | settings))


def release_key(root):
    """A key with an owner of its own, as a publisher's."""
    path = local_key(root / "release-keys").path
    return read_key(path.rename(path.with_name("release.key")))


def test_every_package_of_the_store_is_found_once_the_newest_last(made):
    made.publish({"primary": parts(seed=9)})
    found = packages(made.store)
    assert [one.model for one in found] == ["incident", "incident-simpler", "incident"]
    assert len({one.digest for one in found}) == 3
    assert find(made.store, "incident", made.trust).files["model.onnx"] == sha256_bytes(parts(seed=9).onnx)


def test_a_release_is_composed_by_names_and_by_digests(made):
    simpler = made.published.document.members[1].package
    again = composed(made, {"primary": "incident", "simpler": simpler[:19]})
    assert again.uri == made.published.uri
    alone = composed(made, {"primary": "incident-simpler"}, least=7)
    assert (alone.document.version, alone.document.ladder) == (7, ["primary", "rules", "default"])
    assert verify_folder(made.pod(), made.trust)


@pytest.mark.parametrize(("members", "says"), [
    ({"primary": "incedent"}, r"no package called 'incedent' \(it has: incident, incident-simpler\)"),
    ({"primary": "sha256:0123"}, "no package called"),
    ({"primary": "incident", "simpler": "incident"}, "named for two roles"),
])  # fmt: skip
def test_what_cannot_be_composed_is_said(made, members, says):
    with pytest.raises(InputError, match=says):
        composed(made, members)


def test_without_a_prevalence_the_risk_of_last_resort_is_asked_for(made):
    with pytest.raises(InputError, match="--default-risk"):
        composed(made, {"primary": "incident"}, default=None)


def test_members_that_answer_different_questions_are_not_composed(made):
    other = msgspec.structs.replace(contract(), horizon="6h")
    made.publish({"primary": replace(parts("incident-late", 8), contract=other)})
    with pytest.raises(ArtifactRefused, match="another contract"):
        composed(made, {"primary": "incident", "simpler": "incident-late"})


def test_a_package_that_a_stranger_signed_is_not_composed(made, tmp_path):
    stranger = Trust.of([local_key(tmp_path / "other").public])
    with pytest.raises(ArtifactRefused) as refused:
        compose_release("incident", {"primary": "incident"}, made.store, policy(), made.key, trust=stranger, default=0.1)
    assert refused.value.reason == "signature"


def test_a_sealed_package_is_not_composed_and_the_sentence_says_where_to(made):
    store = seal(made, made.published, LocalKeys())
    with pytest.raises(InputError, match="is sealed in"):
        compose_release("incident", {"primary": "incident"}, store, policy(), made.key, trust=made.trust, default=0.1)


@pytest.mark.parametrize("tier", ["medium", "high"])
def test_the_local_key_never_signs_above_tier_low(made, tier):
    raised = policy().model_copy(update={"risk_tier": tier})
    with pytest.raises(ArtifactRefused, match="local key signs tier low only") as refused:
        compose_release("incident", {"primary": "incident"}, made.store, raised, made.key, trust=made.trust, default=0.1)
    assert refused.value.reason == "approval"
    assert made.store.versions("incident") == [1]


@pytest.mark.parametrize("tier", ["medium", "high"])
def test_a_release_key_composes_above_tier_low_and_the_gate_refuses_it_by_name_until_it_is_approved(made, tmp_path, tier):
    key = release_key(tmp_path)
    raised = policy().model_copy(update={"risk_tier": tier})
    published = compose_release("incident", {"primary": "incident"}, made.store, raised, key, trust=made.trust, default=0.1)
    trust = Trust.of([made.key.public, key.public])
    for refuse in (
        lambda: admit(published.uri, tmp_path / "models", made.store, trust),
        lambda: publish(published.reference, made.store, ReleaseStore(tmp_path / "target"), None, trust=trust),
    ):
        with pytest.raises(ArtifactRefused, match=f"incident:2 has tier {tier}, and no approvals are known here") as refused:
            refuse()
        assert refused.value.reason == "approval"


def test_a_publisher_signs_anew_and_only_who_trusts_it_admits(made, tmp_path):
    key = release_key(tmp_path)
    target, keys = ReleaseStore(tmp_path / "target"), LocalKeys()
    reference = publish(made.published.reference, made.store, target, keys, trust=made.trust, key=key)
    assert reference == made.published.reference
    release = admit(str(reference), tmp_path / "models", target, Trust.of([key.public]), keys=keys)
    assert release.key.owner == "release"
    with pytest.raises(ArtifactRefused) as refused:
        admit(str(reference), tmp_path / "models", target, made.trust, keys=keys)
    assert refused.value.reason == "signature"


def test_a_release_that_is_there_by_another_signer_is_signed_anew_in_its_place(made, tmp_path):
    key, target = release_key(tmp_path), ReleaseStore(tmp_path / "target")
    publish(made.published.reference, made.store, target, None, trust=made.trust)
    publish(made.published.reference, made.store, target, None, trust=made.trust, key=key)
    assert target.versions("incident") == [1]
    assert admit(made.published.uri, tmp_path / "models", target, Trust.of([key.public])).key.owner == "release"


# Models that were not trained here.


@pytest.fixture
def given(tmp_path):
    """What a vendor hands over: a model, its contract, and held-out rows."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "vendor-risk.onnx").write_bytes(logistic(len(contract().inputs), 77).SerializeToString(deterministic=True))
    (folder / "contract.json").write_bytes(contract().to_json())
    generator = np.random.default_rng(3)
    scores = generator.random(300)
    with (folder / "held-out.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["score", "label", "note"])
        table.writerows([f"{score:.6f}", int(chance < score), ""] for score, chance in zip(scores, generator.random(300), strict=True))
    return folder


def imported(made, given, **changes):
    settings = {"scratch": made.root, "calibration": given / "held-out.csv"} | changes
    return import_model(given / "vendor-risk.onnx", given / "contract.json", made.store, made.key, **settings)


def test_an_imported_model_is_composed_published_and_admitted_like_one_of_ours(made, given, tmp_path):
    stored = imported(made, given)
    assert (stored.model, stored.family) == ("vendor-risk", "imported")
    published = composed(made, {"primary": "vendor-risk", "simpler": "incident-simpler"}, default=None)
    release = admit(published.uri, tmp_path / "models", made.store, made.trust)
    assert 0.3 < release.document.default < 0.7  # the prevalence of the held-out rows
    risk, low, high = release.primary.calibration().one(0.9)
    assert low <= risk <= high and high - low < 0.5
    assert "not trained here" in release.primary.files["card.md"].decode()


def test_importing_the_same_files_again_is_the_same_package(made, given):
    assert imported(made, given).digest == imported(made, given).digest
    assert [one.model for one in packages(made.store)].count("vendor-risk") == 1


def test_a_model_without_calibration_is_refused_because_no_interval_could_be_promised(made, given):
    with pytest.raises(InputError, match=r"vendor-risk comes without calibration: its score is no risk, .* Give --calibration"):
        imported(made, given, calibration=None)


def test_fitted_arrays_are_taken_as_they_are(made, given):
    (given / "calibration.safetensors").write_bytes(calibration().to_bytes())
    stored = imported(made, given, calibration=given / "calibration.safetensors")
    assert stored.files["calibration.safetensors"] == sha256_bytes(calibration().to_bytes())
    with pytest.raises(InputError, match="--default-risk"):
        composed(made, {"primary": "vendor-risk"}, default=None)


def rows(text):
    def write(given):
        (given / "held-out.csv").write_text(text)

    return write


def file(name, content):
    def write(given):
        (given / name).write_bytes(content)

    return write


def gone(name):
    def remove(given):
        (given / name).unlink()

    return remove


def narrower():
    return msgspec.structs.replace(contract(), inputs=contract().inputs[:-1]).to_json()


UNUSABLE = {
    "no such model": (gone("vendor-risk.onnx"), {}, "the ONNX model cannot be read"),
    "no ONNX": (file("vendor-risk.onnx", b"\x80\x04K\x01."), {}, "vendor-risk.onnx .* Give another file"),
    "no contract": (gone("contract.json"), {}, "the contract cannot be read"),
    "contract that is none": (file("contract.json", b'{"name": "incident"}'), {}, "contract.json: does not follow presage.contract/v1"),
    "contract of another model": (file("contract.json", narrower()), {}, r"model.onnx takes x \[batch, 10\], its contract says x \[batch, 9\]"),
    "detectors without arrays": (file("contract.json", msgspec.structs.replace(contract(), detectors=1).to_json()), {}, "--detectors"),
    "name that is none": (rows(""), {"name": "Vendor Risk"}, "'Vendor Risk' is no name of a model"),
    "no rows": (gone("held-out.csv"), {}, "there is no calibration here"),
    "other columns": (rows("risk,outcome\n1,1\n"), {}, "the columns are risk, outcome. Name two of them score and label"),
    "a score that is none": (rows("score,label\n0.5,1\nn/a,0\n"), {}, "held-out.csv:3: 'score' is 'n/a', not a number"),
    "a label that is none": (rows("score,label\n0.5,yes\n"), {}, "held-out.csv:2: 'label' is 'yes', not 0 or 1"),
    "too few rows": (rows("score,label\n0.5,1\n0.4,0\n"), {}, "has 2 rows, 1 of them with label 1. Give at least 50"),
    "one label": (rows("score,label\n" + "0.5,0\n" * 80), {}, "has 80 rows, 0 of them with label 1"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_imported_is_one_sentence_and_stores_nothing(made, given, name):
    spoil, changes, says = UNUSABLE[name]
    spoil(given)
    before = made.store.layout.top()
    with pytest.raises((InputError, ArtifactRefused), match=says) as refused:
        imported(made, given, **changes)
    assert "\n" not in refused.value.message and refused.value.message.endswith(".")
    assert made.store.layout.top() == before
    assert not [path for path in made.root.iterdir() if path.name.startswith("tmp")]


def test_a_model_beyond_its_limit_is_not_read_whole(made, given):
    os.truncate(given / "vendor-risk.onnx", 1 << 40)
    with pytest.raises(InputError, match="the most that a package may hold"):
        imported(made, given)


def test_the_interval_is_that_of_the_rows_given(made, given):
    stored = imported(made, given)
    table = np.genfromtxt(given / "held-out.csv", delimiter=",", names=True)
    expected = VennAbers.fit(table["score"], table["label"]).to_bytes()
    assert stored.files["calibration.safetensors"] == sha256_bytes(expected)
