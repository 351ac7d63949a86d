"""An access policy that does not make sense is one sentence: place, clause, value, remedy."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml

from presage.errors import InputError
from presage.governance.access import load_access_policy, parse_access_policy
from presage.manifests.render import manifests_folder

Document = dict[str, Any]
WRITTEN = yaml.safe_load((manifests_folder().parent / "policies" / "access.yaml").read_text())
OPERATORS, CHECKOUT, PROMETHEUS = 0, 2, 3


def changed(change: Callable[[Document], Any]) -> str:
    document = deepcopy(WRITTEN)
    change(document)
    return yaml.safe_dump(document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["clients"][OPERATORS].update(owner=""), "clients.0.owner"),
        (lambda d: d["clients"][OPERATORS].pop("rationale"), "clients.0.rationale"),
        (lambda d: d["clients"][OPERATORS].update(may_also=["metrics"]), "clients.0.may_also"),
        (lambda d: d["clients"][OPERATORS].update(identity="operators"), "clients.0.identity"),
        (lambda d: d["clients"][OPERATORS].update(certificate_lives="a month"), "a month"),
        (lambda d: d["clients"][OPERATORS]["at_most"].update(burst=0), "clients.0.at_most.burst"),
        (lambda d: d["clients"][OPERATORS].update({"from": "anywhere"}), "clients.0.from"),
        (lambda d: d["endpoints"]["predict"].update(calls=["DELETE /predict"]), "DELETE /predict"),
        (lambda d: d["endpoints"]["predict"].update(calls=["POST /*"]), r"POST /\*"),
        (lambda d: d["clients"][OPERATORS].pop("token"), "ACC-1: token is missing"),
        (lambda d: d["clients"][OPERATORS].pop("at_most"), "ACC-1: at_most is missing"),
        (lambda d: d["clients"][CHECKOUT].update(token={"subject": "checkout", "audience": "presage"}), "ACC-3: token is written"),
        (lambda d: d["clients"][PROMETHEUS].update(identity="monitoring/prometheus"), "ACC-4: identity is written"),
        (lambda d: d["clients"][OPERATORS].update(may=["predict", "everything"]), "ACC-1: may names 'everything'"),
        (lambda d: d["clients"][OPERATORS].update(may=["metrics"]), "ACC-1: may is metrics from outside"),
        (lambda d: d["clients"][PROMETHEUS].update(may=["metrics", "predict"]), "ACC-4: may is metrics, predict"),
        (lambda d: d["clients"][OPERATORS].update({"in": ["network", "moon"]}), "ACC-1: in names 'moon'"),
        (lambda d: d["clients"][OPERATORS].update(of="capacity"), "ACC-1: of is 'capacity'"),
        (lambda d: d["clients"][CHECKOUT].update(id="ACC-1"), "'ACC-1' is written twice"),
        (lambda d: d["clients"][CHECKOUT].update(identity="clients/operators"), "'clients/operators' is written twice"),
        (lambda d: d["clients"][CHECKOUT].update(identity="gateway/presage-istio"), "the gateway's own"),
        (lambda d: d["people"][0]["may"].update(see=["pods", "secrets"]), "PPL-1: may.see names 'secrets'"),
        (lambda d: d["people"][0].update({"in": ["kube-system"]}), "PPL-1: in names 'kube-system'"),
        (lambda d: d["people"][0].update(may={}), "PPL-1: may says nothing"),
        (lambda d: d["workloads"][0].update(uses=["release-open", "release-seal"]), "WRK-1: uses both"),
        (lambda d: d["workloads"][0].update(namespace="gateway"), "WRK-1: needs exactly one of namespace"),
        (lambda d: d["workloads"][0].update(reads=["root-token"]), "WRK-1: reads names 'root-token'"),
        (lambda d: d["clients"][OPERATORS]["at_most"].update(requests_per_day=0), "clients.0.at_most.requests_per_day"),
        (lambda d: d["clients"][OPERATORS]["at_most"].update(requests_per_day=3999), "ACC-1: at_most.requests_per_day is 3999, less than burst"),
        (lambda d: d["revoked_clients"].update(overlap="30d"), "ACC-1: certificate_lives is not longer than revoked_clients.overlap"),
        (lambda d: d["revoked_clients"].update(read_by=["telemetry"]), "REV-1: read_by names 'telemetry', which reads nothing from Vault"),
        (lambda d: d["revoked_clients"].update(id="ACC-1"), "'ACC-1' is written twice"),
        (lambda d: d["rotation"].pop(1), "WRK-1: needs a life for vault-token"),
        (lambda d: d["rotation"].pop(0), "WRK-4: needs a life for gateway-certificate"),
    ],
)
def test_a_policy_without_sense_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        parse_access_policy(changed(change), "access.yaml")


def test_text_that_is_no_yaml_and_a_file_that_is_not_there_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"access\.yaml: not YAML"):
        parse_access_policy("clients: [", "access.yaml")
    with pytest.raises(InputError, match="there is no access policy here"):
        load_access_policy(tmp_path / "access.yaml")


def test_a_new_client_changes_nothing_of_the_others():
    from presage.governance.access import compile_access

    def with_one_more(document: Document) -> None:
        new = deepcopy(document["clients"][CHECKOUT])
        document["clients"].append(new | {"id": "ACC-9", "name": "search", "identity": "shop/search", "in": ["databases"]})

    before, after = (compile_access(parse_access_policy(text, "access.yaml")) for text in (yaml.safe_dump(WRITTEN), changed(with_one_more)))
    moved = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    names = ("authorizationpolicy.incident-from-search.yaml", "configmap.client-limits.yaml", "kustomization.yaml", "networkpolicy.incident-clients.yaml")
    assert sorted(moved) == [f"manifests/base/platform/generated/databases/{name}" for name in names]
