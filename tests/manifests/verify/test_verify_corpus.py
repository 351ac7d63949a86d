"""Broken manifests are found, each by the rule that is for it; look-alikes pass."""

import os
from functools import cache
from pathlib import Path

import pytest
from manifest_corpus import admission, argocd, gpu, kserve, mesh, others, pods, references

from presage.manifests.verify import check
from presage.manifests.verify.reading import Reader
from presage.manifests.verify.registry import all_rules
from presage.manifests.verify.schemas import Schemas

AREAS = (pods, references, kserve, gpu, mesh, admission, argocd, others)
BROKEN = [case for area in AREAS for case in area.BROKEN]
ALIKE = [case for area in AREAS for case in area.ALIKE]
# Their subjects are files, not objects: test_verify.py breaks them, and tests/governance/test_approvals.py those about approvals.
EXPORTED = frozenset({"presage_requests_total", "presage_request_seconds_bucket", "up"})
OF_FILES = {
    "approvals/approved", "approvals/ending", "approvals/good", "approvals/not-revoked",
    "gitops/current", "waivers/in-force", "waivers/needed", "schema/custom",
}  # fmt: skip


@cache
def schemas():
    folder = os.environ.get("PRESAGE_SCHEMAS")
    return Schemas(Path(folder) if folder else None)


def findings(case):
    reader = Reader(case.release, schemas())
    overlay = reader.overlay("good", [(found, "good", application) for application, found in case.world().objects])
    overlay.metrics = EXPORTED
    return check([overlay], []).findings


def titles(cases):
    return [case.title for case in cases]


@pytest.mark.parametrize("case", BROKEN, ids=titles(BROKEN))
def test_a_broken_manifest_is_found_by_the_rule_that_is_for_it(case):
    found = findings(case)
    assert sorted({finding.rule for finding in found} - {"schema/custom"}) == list(case.rules), found  # schemas are not everywhere


@pytest.mark.parametrize("case", ALIKE, ids=titles(ALIKE))
def test_a_look_alike_passes(case):
    assert findings(case) == []


def test_every_rule_is_fired_by_a_broken_manifest():
    fired = {rule for case in BROKEN for rule in case.rules} | OF_FILES
    assert {rule.id for rule in all_rules()} - fired == set()


def test_there_are_as_many_look_alikes_as_the_corpus_promises():
    assert len(BROKEN) >= 40
    assert len(ALIKE) >= 40
    assert len(set(titles(BROKEN))) == len(BROKEN)
    assert len(set(titles(ALIKE))) == len(ALIKE)


def test_a_finding_names_object_field_value_and_remedy():
    case = next(case for case in BROKEN if case.title == "a port of the node")
    (finding,) = findings(case)
    assert (finding.object, finding.path) == ("good: Deployment models/telemetry", "spec.template.spec.containers[0].ports[0].hostPort")
    assert "8080" in finding.message
    assert finding.remedy
