"""Approvals: what is forged, over, replayed, about something else, of the wrong role or of one's own counts nowhere: verify, admission, gate."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from builders.approvals import NOW, ROOT, Governed, change_yaml, governed, new_key
from hypothesis import assume, given
from hypothesis import strategies as st

from presage.errors import ArtifactRefused, InputError
from presage.files import write_bytes
from presage.governance.approving import approve
from presage.governance.compiling import compile_policies
from presage.governance.revoked import enter
from presage.manifests.admission import OfflinePolicy
from presage.manifests.objects import parse_objects
from presage.manifests.verify import verify
from presage.manifests.verify.governed import Governed as PoliciesBeside
from presage.manifests.verify.reading import Reader
from presage.manifests.verify.registry import all_rules
from presage.manifests.verify.schemas import Schemas
from presage.package.approvals import RULES, Approvals, check, sign_approval
from presage.package.gate import admit
from presage.package.keys import Trust, TrustedKey
from presage.package.release import verify_folder


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Governed:
    """A release of tier high that nobody has approved yet, with the overlay that names it."""
    made = governed(tmp_path_factory.mktemp("governed"))
    shutil.copytree(ROOT / "manifests", made.root / "manifests")
    for place in ("overlays/production/models-network/release.yaml", "rendered/production/models-network/manifest.yaml"):
        path = made.root / "manifests" / place
        path.write_text(path.read_text().replace("presage://incident:0@unresolved", made.published.uri))
    return made


@pytest.fixture
def release(ready):
    """Without any statement, whatever a test before put there."""
    shutil.rmtree(ready.root / "policies" / "approvals", ignore_errors=True)
    return ready


def at_verify(release: Governed) -> list[str]:
    """Sentences of CI's check: its rules about approvals alone, for the sake of time."""
    manifests = release.root / "manifests"
    with Reader(False, Schemas(None)) as reader:
        overlay = reader.files([manifests / "rendered" / "production" / "models-network"])
        subject = PoliciesBeside.beside(manifests, [overlay], NOW)
        found = [finding for rule in all_rules() if rule.subject is PoliciesBeside for finding in rule.findings(subject, release=False)]
    return [f"{one.object} {one.message}" for one in found if one.severity == "error"]


def test_the_command_that_ci_runs_refuses_what_is_not_approved(release):
    def said() -> set[str]:
        return {one.rule for one in verify(release.root / "manifests", overlays=["production"], now=NOW).errors} - {"gitops/current"}

    assert said() == {"approvals/approved"}
    release.sign(release.approval("risk-officer"))
    release.sign(release.approval("auditor"))
    assert said() == set()


def test_verify_warns_two_weeks_before_an_approval_ends_and_refuses_what_is_revoked(release):
    release.sign(release.approval("risk-officer", expires=(NOW + timedelta(days=13)).isoformat()))
    release.sign(release.approval("auditor"))
    found = verify(release.root / "manifests", overlays=["production"], now=NOW)
    assert [one.object for one in found.findings if one.rule == "approvals/ending"] == ["incident-2-model-risk-risk-officer.dsse.json"]
    revocations = release.root / "policies" / "revocations.yaml"
    kept = revocations.read_bytes()
    enter(revocations, str(release.published.reference.digest), "trained on leaked labels", NOW.date())
    try:
        found = verify(release.root / "manifests", overlays=["production"], now=NOW)
        assert [one.message for one in found.errors if one.rule == "approvals/not-revoked"] == ["is incident:2, which was revoked: trained on leaked labels"]
        assert kept.decode().partition("revoked: []")[0] in revocations.read_text()  # every other line is as it was
        assert any(message.startswith("revoked: presage://incident:2@") for message in at_admission(release))
        with pytest.raises(InputError, match="revoked already"):
            enter(revocations, str(release.published.reference.digest), "again", NOW.date())
    finally:
        revocations.write_bytes(kept)


def at_admission(release: Governed) -> tuple[str, ...]:
    """What the API server would answer to the InferenceService."""
    files = compile_policies(release.root, NOW)
    (policy,) = parse_objects(next(text for name, text in files.items() if name.endswith("validatingadmissionpolicy.presage-tiers.yaml")), "policy")
    model = {"modelFormat": {"name": "presage"}, "runtime": "presage-cpu", "storageUri": release.published.uri}
    service = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "incident", "namespace": "models-network"},
        "spec": {"predictor": {"minReplicas": 2, "model": model}},
    }  # fmt: skip
    return OfflinePolicy(policy).ask(service).messages


def at_gate(release: Governed, target: Path) -> str:
    """The gate's sentence; empty where it admits. It is given every statement there is, not only those that the compiler would give it."""
    approvals = release.policies.approvals
    write_bytes(target / "approvals" / RULES, approvals.rules.to_json().encode())
    for name, content in approvals.statements.items():
        write_bytes(target / "approvals" / name, content)
    try:
        admit(release.published.uri, target / "models", release.made.store, release.trust, approvals=Approvals.open(target / "approvals"))
    except ArtifactRefused as error:
        assert error.reason == "approval" and list((target / "models").iterdir()) == []
        return error.message
    return ""


def changed(release: Governed, place: str) -> None:
    """One character of a good statement's payload."""
    path = release.sign(release.approval("auditor"))
    content = path.read_bytes()
    at = content.index(b'"payload":"') + 40
    path.write_bytes(content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :])


def by_a_stranger(release: Governed, place: str) -> None:
    release.sign(release.approval("auditor"), key=new_key(release.root.parent / f"{place}-stranger.key"))


def of_the_author(release: Governed, place: str) -> None:
    """The auditor's second key signed the release."""
    change_yaml(
        release.root / "policies" / "approvals.yaml",
        lambda document: [person.update(composes_with=[release.author.id]) for person in document["people"] if person["id"] == "auditor"],
    )
    release.sign(release.approval("auditor"))


LONG_AGO = {"issued": (NOW - timedelta(days=91)).isoformat(), "expires": (NOW - timedelta(days=1)).isoformat()}
TO_COME = {"issued": (NOW + timedelta(days=2)).isoformat(), "expires": (NOW + timedelta(days=9)).isoformat()}
OTHER = "sha256:" + "0f" * 32
BAD = {
    "nothing at all": (lambda release, place: None, "nobody has approved it as compliance"),
    "forged: a byte was changed": (changed, "does not fit what it signs|no DSSE|base64"),
    "forged: a stranger's key": (by_a_stranger, "not trusted here"),
    "over": (lambda release, place: release.sign(release.approval("auditor", **LONG_AGO)), "ended at"),
    "not yet": (lambda release, place: release.sign(release.approval("auditor", **TO_COME)), "not yet"),
    "for ever": (
        lambda release, place: release.sign(release.approval("auditor", expires=(NOW + timedelta(days=3650)).isoformat())), "is good for 3650 days",
    ),
    "replayed: of the release before": (
        lambda release, place: release.sign(release.approval("auditor"), name="incident:1", digest=OTHER), "nobody has approved it as compliance",
    ),
    "another digest under this name": (lambda release, place: release.sign(release.approval("auditor"), digest=OTHER), "approves incident:2 sha256:0f0f"),
    "a role that the signer has not": (lambda release, place: release.sign(release.approval("auditor", role="legal")), "does not hold the role"),
    "in somebody else's name": (
        lambda release, place: release.sign(release.approval("auditor"), key=release.keys["counsel"]), "speaks for 'auditor' under the key of counsel",
    ),
    "one's own release": (of_the_author, "nobody approves their own"),
    "for a lower tier": (lambda release, place: release.sign(release.approval("auditor", tier="low")), "approves it for tier low"),
    "one person in both roles": (lambda release, place: release.sign(release.approval("all-hats", role="compliance")), "1 person, and each needs"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("what", BAD)
def test_what_does_not_count_is_refused_at_each_of_the_three_places(release, tmp_path, what):
    bad, says = BAD[what]
    kept = (release.root / "policies" / "approvals.yaml").read_bytes()
    release.sign(release.approval("all-hats" if what == "one person in both roles" else "risk-officer", role="model-risk"))
    try:
        bad(release, tmp_path.name)
        found = at_verify(release)
        assert any(matches(says, sentence) for sentence in found), found
        assert any("is not approved" in sentence and "storageUri" not in sentence for sentence in found), found
        assert any("not approved for tier high: presage://incident:2@" in message for message in at_admission(release))
        assert matches(says, at_gate(release, tmp_path))
    finally:
        (release.root / "policies" / "approvals.yaml").write_bytes(kept)


def matches(says: str, sentence: str) -> bool:
    return any(words in sentence for words in says.split("|"))


def test_two_people_in_the_roles_that_the_tier_asks_for_let_it_in_everywhere(release, tmp_path):
    release.sign(release.approval("risk-officer"))
    release.sign(release.approval("auditor"))
    assert at_verify(release) == [] and at_admission(release) == () and at_gate(release, tmp_path) == ""


@pytest.mark.parametrize("what", ["contract", "card", "evaluation", "author"])
def test_an_approval_of_other_evidence_than_the_releases_is_refused_where_the_release_is_seen(release, tmp_path, what):
    """Git does not hold the release; who looks into it is the gate."""
    release.sign(release.approval("risk-officer"))
    release.sign(release.approval("auditor", **{what: "f" * 64 if what == "author" else OTHER}))
    assert ("another author" if what == "author" else f"approves another {what}") in at_gate(release, tmp_path)


def test_the_server_asks_the_same_again_before_it_parses_a_byte(release, tmp_path):
    release.sign(release.approval("risk-officer"))
    auditors = release.sign(release.approval("auditor"))
    assert at_gate(release, tmp_path) == ""
    assert verify_folder(tmp_path / "models", release.trust, approvals=release.policies.approvals).version == 2
    auditors.unlink()
    with pytest.raises(ArtifactRefused, match="nobody has approved it as compliance"):
        verify_folder(tmp_path / "models", release.trust, approvals=release.policies.approvals)


def test_statements_that_are_not_good_are_not_given_to_gates(release):
    release.sign(release.approval("risk-officer"))
    by_a_stranger(release, "given")
    files = compile_policies(release.root, NOW)
    (config,) = parse_objects(files["manifests/base/platform/generated/network/configmap.release-approvals.yaml"], "config")
    assert sorted(config["data"]) == ["incident-2-model-risk-risk-officer.dsse.json", RULES]


def test_what_a_pod_mounts_opens_its_gate(release, tmp_path):
    """The compiled ConfigMap, file by file as a kubelet writes it: a statement is its bytes, and one more at its end would be another."""
    release.sign(release.approval("risk-officer"))
    release.sign(release.approval("auditor"))
    files = compile_policies(release.root, NOW)
    (config,) = parse_objects(files["manifests/base/platform/generated/network/configmap.release-approvals.yaml"], "config")
    for name, text in config["data"].items():
        write_bytes(tmp_path / "mounted" / name, text.encode())
    approvals = Approvals.open(tmp_path / "mounted")
    assert admit(release.published.uri, tmp_path / "models", release.made.store, release.trust, approvals=approvals).document.version == 2


def test_a_person_approves_with_a_command_and_is_told_what_lacks(release, tmp_path):
    made = approve(
        release.root, release.published.reference, release.made.store, release.trust, role="compliance", signer=release.keys["auditor"], now=NOW,
        lasts=timedelta(days=30),
    )  # fmt: skip
    assert made.path.name == "incident-2-compliance-auditor.dsse.json" and "nobody has approved it as model-risk" in made.lacking
    risk = release.keys["risk-officer"]
    made = approve(release.root, release.published.reference, release.made.store, release.trust, role="model-risk", signer=risk, now=NOW)
    assert made.lacking == "" and at_gate(release, tmp_path) == ""


@pytest.mark.parametrize(
    ("role", "person", "lasts", "says"),
    [
        ("legal", "auditor", None, "does not hold the role"),
        ("compliance", "stranger", None, "is nobody's in policies/approvals.yaml"),
        ("compliance", "auditor", timedelta(days=181), "180 days at most"),
        ("compliance", "auditor", timedelta(0), "cannot last"),
    ],
)
def test_an_approval_that_would_not_count_is_not_written(release, tmp_path, role, person, lasts, says):  # noqa: PLR0917
    key = release.keys[person] if person in release.keys else new_key(tmp_path / "stranger.key")
    with pytest.raises((InputError, ArtifactRefused), match=says):
        approve(release.root, release.published.reference, release.made.store, release.trust, role=role, signer=key, now=NOW, lasts=lasts)
    assert not (release.root / "policies" / "approvals").exists()


def test_rules_that_cannot_be_read_let_nothing_in(release, tmp_path):
    (tmp_path / "approvals").mkdir()
    (tmp_path / "approvals" / RULES).write_text('{"people": {}}')
    for folder in (tmp_path / "absent", tmp_path / "approvals"):
        with pytest.raises(ArtifactRefused) as refused:
            Approvals.open(folder)
        assert refused.value.reason == "approval"


@pytest.fixture(scope="module")
def two(ready):
    """A release's two statements, its rules and what it is."""
    subject = ready.subject()
    signed = [sign_approval(subject, one, ready.keys[one.approver]) for one in (ready.approval("risk-officer"), ready.approval("auditor"))]
    return subject, ready.policies.approvals.rules, signed


@given(data=st.data())
def test_no_change_of_a_statement_makes_it_count(two, data):
    """Whatever bytes a good statement is turned into, it does not count any more."""
    subject, rules, (first, second) = two
    at = data.draw(st.integers(0, len(second) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "double", "insert"]))
    forged = {
        "flip": second[:at] + bytes([second[at] ^ (1 << data.draw(st.integers(0, 7)))]) + second[at + 1 :],
        "cut": second[:at],
        "double": second[:at] + second,
        "insert": second[:at] + data.draw(st.binary(min_size=1, max_size=3)) + second[at:],
    }[kind]
    assume(forged != second)
    with pytest.raises(ArtifactRefused) as refused:
        check(Approvals(rules, {"first": first, "second": forged}), subject, NOW)
    assert refused.value.reason == "approval"


def test_the_key_of_a_state_directory_signs_no_release_above_low_even_if_approved(release, tmp_path):
    release.sign(release.approval("risk-officer"))
    release.sign(release.approval("auditor"))
    with pytest.raises(ArtifactRefused, match="local key may sign tier low only"):
        admit(
            release.published.uri, tmp_path / "models", release.made.store, Trust.of([TrustedKey("local", release.author.public.public)]),
            approvals=release.policies.approvals,
        )  # fmt: skip
