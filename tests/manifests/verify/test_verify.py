"""Verifying: what is read, what counts, what is waived, and what the command says of it."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs
import orjson
import pytest
from manifest_corpus.world import GOOD

from presage.errors import InputError, UsageError
from presage.manifests.render import manifests_folder, render_overlay, write_rendered
from presage.manifests.verify import Severity, verify
from presage.manifests.verify.registry import all_rules

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: here\n"
KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [namespace.yaml]\n"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: models}
spec: {automountServiceAccountToken: false, containers: [{name: bare, image: "presage/serving:1.0"}]}
"""
SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "additionalProperties": False, "properties": {"supportedModelFormats": {}}}}}


@pytest.fixture
def good(tmp_path):
    """The good set's files, in a folder each, as Applications are."""
    for file in GOOD.glob("*.yaml"):
        (tmp_path / "good" / file.stem).mkdir(parents=True)
        shutil.copy(file, tmp_path / "good" / file.stem)
    return tmp_path / "good"


@pytest.fixture
def overlay(tmp_path):
    """A repository with one overlay of one namespace, rendered."""
    place = tmp_path / "manifests" / "overlays" / "local" / "platform"
    place.mkdir(parents=True)
    (place / "kustomization.yaml").write_text(KUSTOMIZATION)
    (place / "namespace.yaml").write_text(SPACE)
    write_rendered(tmp_path / "manifests", "local", render_overlay(tmp_path / "manifests", "local"))
    return tmp_path / "manifests"


def waived(folder, text):
    """folder: the repository's manifests/."""
    file = folder.parent / "policies" / "waivers.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return verify(folder, now=NOW)


def waiver(rule="gitops/kept", target="Namespace here", expires="2026-12-31"):
    return f"waivers:\n  - {{rule: {rule}, object: '{target}', reason: made by hand, owner: platform team, expires: {expires}}}\n"


def rules_of(findings):
    return [finding.rule for finding in findings]


@pytest.mark.long
def test_every_overlay_of_the_repository_is_without_an_error():
    verification = verify()
    assert verification.errors == []
    assert verification.objects > 300


def test_for_a_release_what_is_not_published_is_an_error():
    assert {"kserve/published", "pods/pinned"} <= set(rules_of(verify(overlays=["production"], release=True).errors))


def test_a_good_set_has_no_finding_and_its_custom_kinds_are_said_not_to_be_checked(good):
    verification = verify(paths=[good])
    assert verification.findings == []
    assert "schemas of custom kinds" in verification.unchecked[0]


def test_one_file_is_looked_at_by_itself(tmp_path):
    (tmp_path / "pod.yaml").write_text(POD)
    verification = verify(paths=[tmp_path / "pod.yaml"])
    assert "pod-security/run-as-non-root" in rules_of(verification.errors)
    assert verification.findings[0].object == f"{tmp_path / 'pod.yaml'}: Pod models/bare"


def test_a_rendering_that_is_not_current_is_a_finding(overlay):
    (overlay / "overlays" / "local" / "platform" / "namespace.yaml").write_text(SPACE.replace("here", "there"))
    (finding,) = [found for found in verify(overlay).findings if found.rule == "gitops/current"]
    assert (finding.object, finding.path) == ("local", "manifests/rendered/local/platform/manifest.yaml")


def test_an_overlay_that_was_never_rendered_is_a_finding(overlay):
    shutil.rmtree(overlay / "rendered")
    assert rules_of(verify(overlay).findings) == ["gitops/current"]


def test_custom_kinds_are_held_against_a_folder_of_schemas(good, tmp_path):
    folder = tmp_path / "schemas" / "serving.kserve.io"
    folder.mkdir(parents=True)
    (folder / "servingruntime_v1alpha1.json").write_bytes(orjson.dumps(SCHEMA))
    found = verify(paths=[good], schemas=tmp_path / "schemas").findings
    assert any(finding.rule == "schema/custom" and finding.path == "spec" and "containers" in finding.message for finding in found)
    assert any(finding.rule == "schema/known-kind" and "InferenceService" in finding.object for finding in found)


def test_a_waived_finding_is_shown_and_not_counted(overlay):
    before = verify(overlay, now=NOW)
    after = waived(overlay, waiver())
    assert rules_of(before.errors) == ["gitops/kept"]
    assert (after.errors, rules_of(after.waived)) == ([], ["gitops/kept"])


@pytest.mark.parametrize("target", ["Namespace here", "local: Namespace here"])
def test_a_waiver_is_for_one_overlay_or_for_all(overlay, target):
    assert waived(overlay, waiver(target=target)).errors == []


def test_a_waiver_for_another_overlay_waives_nothing(overlay):
    assert rules_of(waived(overlay, waiver(target="production: Namespace here")).errors) == ["gitops/kept", "waivers/needed"]


def test_a_waiver_holds_through_its_last_day(overlay):
    assert waived(overlay, waiver(expires="2026-12-01")).errors == []


def test_an_expired_waiver_waives_nothing_and_is_a_finding_itself(overlay):
    found = waived(overlay, waiver(expires="2026-11-30"))
    assert rules_of(found.errors) == ["gitops/kept", "waivers/in-force"]
    assert "2026-11-30" in found.errors[1].message


def test_a_waiver_that_nothing_needs_is_a_finding_where_every_overlay_was_looked_at(overlay):
    (overlay.parent / "policies").mkdir()
    (overlay.parent / "policies" / "waivers.yaml").write_text(waiver(rule="pods/sized"))
    assert "waivers/needed" in rules_of(verify(overlay, now=NOW).findings)
    assert "waivers/needed" not in rules_of(verify(overlay, overlays=["local"], now=NOW).findings)


@pytest.mark.parametrize(("text", "says"), [
    ("waivers: [{rule: a/b}]", "object is missing"),
    (waiver().replace("made by hand", "' '"), "reason is empty"),
    (waiver(expires="soon"), "no date"),
    (waiver().replace("owner", "ownr"), "owner is missing"),
    ("[]", "waivers: \\[\\]"),
    ("waivers: {", "not YAML"),
])  # fmt: skip
def test_a_waiver_that_says_too_little_is_refused(overlay, text, says):
    with pytest.raises(InputError, match=says):
        waived(overlay, text)


@pytest.mark.parametrize("text", [
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: y}\nspec: [1]\n",
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: [text, {env: [1]}]}}}\n",
    "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: x, annotations: {a: 1}}\nspec: {predictor: []}\n",
    "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: x}\nspec: {predictor: {model: 5}, canary: [1]}\n",
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: 5, ingress: 5, egress: [5]}\n",
])  # fmt: skip
def test_an_object_of_another_shape_is_a_finding_never_a_fault(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    assert verify(paths=[tmp_path / "x.yaml"]).errors


@pytest.mark.parametrize(("text", "says"), [("a: [", "not YAML"), ("kind: Pod\n", "no apiVersion"), ("apiVersion: v1\nkind: Pod\n", "metadata.name")])
def test_a_file_that_holds_no_object_is_refused_by_its_name(tmp_path, text, says):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=f"x.yaml.*{says}"):
        verify(paths=[tmp_path])


def test_what_is_not_there_is_wrong_usage(overlay, tmp_path):
    with pytest.raises(UsageError, match="There is: local"):
        verify(overlay, overlays=["moon"])
    with pytest.raises(UsageError, match="no such file"):
        verify(paths=[tmp_path / "absent.yaml"])
    with pytest.raises(UsageError, match="no folder of schemas"):
        verify(overlay, schemas=tmp_path / "absent")


def test_a_rule_is_one_file_one_claim_one_remedy():
    rules = all_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        area, file = rule.check.__module__.split(".")[-2:]
        assert rule.id == f"{area}/{file}".replace("_", "-")
        assert rule.claim.endswith((".", ".)")) and rule.remedy


def presage(*words):
    return subprocess.run([sys.executable, "-m", "presage.cli", *words], capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_command_says_what_is_wrong_and_ends_with_a_tally(tmp_path):
    (tmp_path / "pod.yaml").write_text(POD)
    done = presage("verify", str(tmp_path))
    assert done.returncode == 1
    assert "pod-security/capabilities" in done.stdout
    assert "spec.containers[0].securityContext.capabilities.drop does not hold ALL. Write capabilities: {drop: [ALL]}." in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 object, ")


def test_the_command_prints_one_document_that_follows_its_schema(tmp_path):
    (tmp_path / "pod.yaml").write_text(POD)
    done = presage("verify", str(tmp_path), "-o", "json")
    document = orjson.loads(done.stdout.splitlines()[-1])
    jsonschema_rs.validator_for(orjson.loads((ROOT / "docs" / "schemas" / "verify.json").read_bytes())).validate(document)
    assert done.returncode == 1
    assert {found["severity"] for found in document["findings"]} == {Severity.error, Severity.warning}


def test_the_command_lists_its_rules():
    done = presage("verify", "--rules", "-o", "json")
    document = orjson.loads(done.stdout)
    jsonschema_rs.validator_for(orjson.loads((ROOT / "docs" / "schemas" / "verify.json").read_bytes())).validate(document)
    assert [found["rule"] for found in document["rules"]] == [rule.id for rule in all_rules()]


@pytest.mark.parametrize("words", [["--overlay", "moon"], ["absent.yaml"], ["--overlay", "local", "docs"], ["--running", "--release"]])
def test_a_wrong_command_line_is_exit_2(words):
    done = presage("verify", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_warnings_alone_are_exit_0():
    done = presage("verify", "--overlay", "local")
    assert (done.returncode, "no errors" in done.stdout) == (0, True), done.stdout


def test_the_page_names_every_area_of_rules():
    page = (ROOT / "docs" / "verify.md").read_text()
    assert {rule.id.partition("/")[0] for rule in all_rules()} - {area for area in page.replace("`", " ").split() if area.isascii()} == set()


def test_the_folder_of_manifests_is_the_repository_s():
    assert manifests_folder() == ROOT / "manifests"
