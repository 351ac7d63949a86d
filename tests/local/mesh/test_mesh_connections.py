"""A port that speaks no HTTP, on a Pod of the mesh: connections in mutual TLS, let in or not by who opens them."""

import pytest
from mesh_objects import peers, policy, service, thing
from mesh_site import Refused, Site, ask

HOST = "store.models-network.svc.cluster.local"
READER, OTHER = ("cluster.local/ns/models-network/sa/reader", "cluster.local/ns/models-network/sa/other")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("mesh")) as made:
        made.pod("store-0", {"app": "store"}, "store", ports=(("tcp-store", 6379), ("http", 8080)))
        for name in ("reader", "other"):
            made.pod(f"{name}-0", {"app": name}, name, outbound=(HOST,))
        yield made


def allow(name="readers", principal=READER, port="6379", **operation):
    to = [{"operation": {"ports": [port], **operation}}]
    return policy(name, selector={"matchLabels": {"app": "store"}}, rules=[{"from": [{"source": {"principals": [principal]}}], "to": to}])


def applied(site, *policies):
    store = service("store", {"app": "store"}, port={"name": "tcp-store", "port": 6379, "targetPort": "tcp-store"})
    site.apply(store, peers("STRICT"), thing("security.istio.io/v1", "AuthorizationPolicy", "deny-all"), *policies)


def answered(site, name):
    """Whether the program behind the port answers; the mesh itself reads nothing of what goes through."""
    try:
        return ask(site.members[name].outbound[HOST], 6379).body == "store-0"
    except (Refused, OSError):
        return False


def test_who_is_allowed_reaches_the_program_and_who_is_not_does_not(site):
    applied(site, allow())
    assert answered(site, "reader-0") and not answered(site, "other-0")
    site.logged(site.members["store-0"].log, lambda line: line.get("principal") == f"spiffe://{OTHER}" or OTHER in str(line))


def test_without_an_allow_nobody_does(site):
    applied(site)
    assert not answered(site, "reader-0") and not answered(site, "other-0")


def test_an_allow_of_another_port_does_not_hold(site):
    applied(site, allow(port="8080"))
    assert not answered(site, "reader-0")


def test_an_allow_that_asks_for_http_holds_for_no_connection(site):
    applied(site, allow(methods=["GET"]))
    assert not answered(site, "reader-0")


def test_a_deny_that_asks_for_http_denies_the_whole_connection(site):
    deny = {"action": "DENY", "selector": {"matchLabels": {"app": "store"}}, "rules": [{"to": [{"operation": {"ports": ["6379"], "methods": ["POST"]}}]}]}
    applied(site, allow(), policy("no-post", **deny))
    assert not answered(site, "reader-0")


def test_plain_text_past_the_proxy_of_the_caller_is_refused(site):
    applied(site, allow())
    with pytest.raises((Refused, OSError)):
        ask(site.members["store-0"].pod.outer, 6379)
