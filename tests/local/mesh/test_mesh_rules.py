"""AuthorizationPolicies mean here what Istio's documentation says, for any policies and any requests."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_istio import IDENTITIES, Asked, allowed, passes, policies, requests
from mesh_objects import peers, service
from mesh_site import Site, ask

from presage.local.mesh.envoy.rbac import access_filters
from presage.local.mesh.kinds.access import read_authorization_policy


def by_envoy(manifests: list[dict], asked: Asked) -> bool:
    filters = access_filters([read_authorization_policy(each) for each in manifests], "models-network", {})
    return all(passes(each["typed_config"], asked) for each in filters)


@pytest.mark.long
@settings(max_examples=800, deadline=None)
@given(policies, st.lists(requests, min_size=1, max_size=8))
def test_the_compiled_rules_allow_exactly_what_the_policies_do(manifests, asked):
    for each in asked:
        assert by_envoy(manifests, each) == allowed(manifests, each)


@pytest.mark.parametrize(
    ("specs", "asked", "answer"),
    [
        ([], Asked(), True),
        ([{}], Asked(), False),
        ([{"rules": [{}]}], Asked(), True),
        ([{"action": "DENY"}], Asked(), True),
        ([{"action": "DENY", "rules": [{}]}, {"rules": [{}]}], Asked(), False),
        ([{"rules": [{"from": [{"source": {"notPrincipals": ["*"]}}]}]}], Asked(), True),
        ([{"rules": [{"from": [{"source": {"principals": ["*"]}}]}]}], Asked(), False),
        ([{"rules": [{"from": [{"source": {"principals": ["*/sa/red"]}}]}]}], Asked(IDENTITIES[0]), True),
        ([{"rules": [{"from": [{"source": {"serviceAccounts": ["red"]}}]}]}], Asked("spiffe://cluster.local/ns/models-network/sa/red"), True),
        ([{"rules": [{"from": [{"source": {"serviceAccounts": ["red"]}}]}]}], Asked(IDENTITIES[0]), False),
        ([{"rules": [{"from": [{"source": {"serviceAccounts": ["one/red"]}}]}]}], Asked(IDENTITIES[0]), True),
        ([{"rules": [{"from": [{"source": {"serviceAccounts": ["one/re"]}}]}]}], Asked(IDENTITIES[0]), False),
        ([{"rules": [{"when": [{"key": "request.headers[x-team]", "notValues": ["red"]}]}]}], Asked(), True),
        ([{"rules": [{"to": [{"operation": {"paths": ["/v2/*/x"]}}]}]}], Asked(path="/v2/y/x"), False),
    ],
    ids=str,
)
def test_the_corners(specs, asked, answer):
    manifests = [
        {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": str(position), "namespace": "models-network"}, "spec": spec}
        for position, spec in enumerate(specs)
    ]
    assert by_envoy(manifests, asked) == answer


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod()
        made.identities = {identity: made.mesh_authority.issue(uri=identity) for identity in IDENTITIES}
        made.apply(service(), peers("PERMISSIVE"))
        yield made


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies, st.lists(requests, min_size=1, max_size=5))
def test_a_real_envoy_decides_likewise(site, manifests, asked):
    site.apply(service(), peers("PERMISSIVE"), *manifests)
    for each in asked:
        request = replace(each, claims=None)
        context = site.context(site.identities[each.identity], site.mesh_authority) if each.identity else None
        if context is not None:
            context.check_hostname = False
        pod = site.members["incident-0"].pod
        status = ask(pod.outer, each.port, each.path, host=each.host, context=context, method=each.method, headers=each.headers).status
        assert status == (200 if allowed(manifests, request) else 403)
