"""A running mesh is changed while clients ask without pause: nothing they ask fails."""

import asyncio

import pytest
from mesh_certificates import Authority, write_trust
from mesh_objects import backend, destination, gateway, limit, peers, policy, route, service, tokens
from mesh_site import CLIENT, HOST, Refused, eventually
from mesh_tokens import Issuer

from presage.errors import PlaneError
from presage.local.mesh import converge, drain, reopen_logs, serials

CANARY = "incident-canary-predictor"
GATEWAY = "cluster.local/ns/gateway/sa/presage-istio"


def _allow(*principals: str, name: str = "callers") -> dict:
    return policy(name, rules=[{"from": [{"source": {"principals": list(principals)}}]}])


def _base(*more: dict) -> tuple[dict, ...]:
    return (service(), gateway(), peers(), _allow(GATEWAY), *more)


def test_a_canary_comes_grows_is_promoted_and_goes(site):
    site.pod()
    site.apply(*_base(route()))
    with site.load() as load:
        canary = site.pod("canary-0", {"app": f"isvc.{CANARY}"})
        both = (*_base(), service(CANARY))
        for weight in (5, 50, 100):
            site.apply(*both, route(backend("incident-predictor", 100 - weight), backend(CANARY, weight)))
            load.reset()
            load.go_on(400)
            assert load.bodies == {"incident-0", "canary-0"} if weight < 100 else {"canary-0"}
        # Promotion by copy: the stable Pod is replaced while the canary has everything.
        site.pod("incident-1")
        site.apply()
        _retire(site, "incident-0")
        site.apply(*both, route())
        load.reset()
        load.go_on(200)
        assert load.bodies == {"incident-1"}
        site.apply(*_base(route()))
        _end_drained(site, "canary-0")
        load.go_on(200)
        assert canary.programs[8080].count
    assert (load.failures, load.statuses) == ([], {200})


def test_a_new_pod_takes_over_from_an_old_one_again_and_again(site):
    site.pod()
    site.apply(*_base(route()))
    with site.load() as load:
        for number in range(1, 4):
            site.pod(f"incident-{number}", ready=False)
            site.apply()
            site.ready(f"incident-{number}")
            site.apply()
            _retire(site, f"incident-{number - 1}")
            load.reset()
            load.go_on(100)
            assert load.bodies == {f"incident-{number}"}
    assert (load.failures, load.statuses) == ([], {200})


def test_a_request_under_way_is_finished_by_the_pod_that_leaves(site):
    slow = site.pod().programs[8080]
    site.apply(*_base(route()))
    with site.load(clients=2) as load:
        slow.answer, before = lambda request: (200, 1.5), slow.count
        eventually(lambda: slow.count >= before + 2, 5, lambda: "the requests do not arrive")
        site.pod("incident-1")
        site.apply()
        _retire(site, "incident-0")
        load.go_on(20)
    assert load.failures == []
    assert load.answers[200, "incident-0"] >= 2


def test_a_changed_rule_holds_for_the_next_request_of_a_connection_and_ends_none(site):
    site.pod()
    other = site.edge_authority.issue(uri="spiffe://cluster.local/ns/clients/sa/other")
    console, both = policy("edge", "gateway", rules=[_from(CLIENT)]), policy("edge", "gateway", rules=[_from(CLIENT), _from("spiffe://cluster.local/ns/clients/sa/other")])
    site.apply(*_base(route()), both)
    with site.load() as load, site.load(identity=other, clients=1) as loser:
        assert loser.statuses == {200}
        site.apply(*_base(route()), console)
        loser.reset()
        loser.go_on(20)
        assert loser.statuses == {403}
        site.apply(*_base(route()), both)
        loser.reset()
        loser.go_on(20)
        assert loser.statuses == {200}
        load.go_on(100)
    assert (load.failures, loser.failures, load.statuses) == ([], [], {200})


def _from(identity: str) -> dict:
    return {"from": [{"source": {"principals": [identity.removeprefix("spiffe://")]}}]}


def test_every_certificate_and_every_authority_is_replaced(site):
    pod = site.pod()
    site.apply(*_base(route()))
    old_mesh, old_edge = site.mesh_authority, site.edge_authority
    new_mesh, new_edge = Authority("new mesh"), Authority("new edge")
    folders = {site.gateway_folder: site.gateway_certificates, pod.folder: pod.certificates}
    identities = {site.gateway_certificates: site.server.identity, pod.certificates: pod.pod.identity}
    with site.load() as load:
        for trusted in ((old_mesh, new_mesh), (new_mesh, old_mesh)):
            for folder in folders.values():
                write_trust(folder, *trusted)
        _until_in_use(folders, new_mesh.root.serial_number)
        for envoy, folder in folders.items():
            issued = new_mesh.issue(uri=identities[folder])
            issued.write(folder)
            _until_in_use({envoy: folder}, issued.serial)
        write_trust(site.edge, old_edge, new_edge)
        issued = new_edge.issue(dns="*.presage.local")
        issued.write(site.edge)
        _until_in_use({site.gateway_folder: site.edge}, issued.serial, new_edge.root.serial_number)
        for folder in folders.values():
            write_trust(folder, new_mesh)
        load.go_on(200)
    assert (load.failures, load.statuses) == ([], {200})
    site.edge_authority = new_edge
    assert site.ask(identity=new_edge.issue(uri=CLIENT)).status == 200
    eventually(lambda: old_mesh.root.serial_number not in asyncio.run(serials(pod.folder)), 5, lambda: "the old authority stays")
    with pytest.raises(Refused):
        site.ask_pod(pod.pod.name, identity=old_mesh.issue(uri=site.server.identity))


def test_whoever_is_revoked_gets_no_further_connection(site):
    site.pod()
    site.apply(*_base(route()))
    assert site.ask().status == 200
    site.edge_authority.revoke(site.client)
    write_trust(site.edge, site.edge_authority)

    def refused():
        try:
            return site.ask().status != 200
        except Refused:
            return True

    eventually(refused, 5, lambda: "a revoked certificate is still answered")


def _until_in_use(folders, *wanted):
    for folder in folders:
        eventually(lambda folder=folder: set(wanted) <= asyncio.run(serials(folder)), 5, lambda: "a new certificate is not taken")


def test_mutual_tls_pools_limits_and_keys_change(site):
    site.pod()
    issuer, other = Issuer(), Issuer()
    site.apply(*_base(route()))
    with site.load() as load:
        for more in (
            [peers("PERMISSIVE", "web", selector={"matchLabels": {"app": "isvc.incident-predictor"}})], [],
            [destination(connectionPool={"http": {"http1MaxPendingRequests": 1000}}, outlierDetection={"consecutive5xxErrors": 5, "interval": "10s"})],
            [destination(connectionPool={"http": {"maxRequestsPerConnection": 10}}, tls={"mode": "ISTIO_MUTUAL"})], [],
            [limit(1_000_000)], [limit(2_000_000)], [tokens(issuer.keys)], [tokens(other.keys)], [],
        ):
            site.apply(*_base(route()), *more)
            load.go_on(50)
        site.apply(*_base(route(timeouts={"request": "90s"})))
        load.go_on(50)
    assert (load.failures, load.statuses) == ([], {200})


def test_a_port_comes_to_mutual_tls_by_way_of_permitting_both(site):
    pod = site.pod()
    everyone = policy("all", rules=[{}])
    site.apply(service(), gateway(), route(), everyone, peers("DISABLE"))
    with site.load("/asked") as load:
        site.logged(pod.log, lambda line: line["path"] == "/asked" and line["principal"] is None)
        for mode in ("PERMISSIVE", "STRICT"):
            site.apply(service(), gateway(), route(), everyone, peers(mode))
            load.reset()
            load.go_on(100)
        assert site.logged(pod.log, lambda line: line["path"] == "/asked" and line["principal"] == f"spiffe://{GATEWAY}")
    assert (load.failures, load.statuses) == ([], {200})


def test_a_second_door_with_a_certificate_of_its_own_opens_and_closes(site):
    site.pod()
    site.apply(*_base(route()))
    folder = site.edge_authority.issue(dns="*.other.local").write(site.root / "other")
    write_trust(folder, site.edge_authority)
    site.secrets["gateway", "other-tls"] = folder
    one = gateway()
    two = gateway()
    door = {"name": "other", "hostname": "*.other.local", "tls": {"certificateRefs": [{"kind": "Secret", "name": "other-tls"}]}}
    two["spec"]["listeners"].append(two["spec"]["listeners"][0] | door)
    everywhere = route(hosts=("incident.other.local", HOST))
    with site.load() as load:
        site.apply(service(), two, peers(), _allow(GATEWAY), everywhere)
        assert site.ask(host="incident.other.local", sni="incident.other.local", identity=None).status == 200
        load.go_on(50)
        site.apply(service(), one, peers(), _allow(GATEWAY), everywhere)
        with pytest.raises(Refused):
            site.ask(host="incident.other.local", sni="incident.other.local")
        load.go_on(50)
    assert (load.failures, load.statuses) == ([], {200})


def test_a_certificate_that_is_not_there_is_said_and_the_door_stays_as_it_was(site):
    site.pod()
    site.apply(*_base(route()))
    site.secrets["gateway", "gateway-tls"] = site.root / "nowhere"
    with site.load() as load:
        with pytest.raises(PlaneError, match=r"Envoy gateway .*nowhere"):
            site.apply(patience=3)
        load.go_on(50)
        assert site.ask().status == 200
    assert (load.failures, load.statuses) == ([], {200})


def test_what_envoy_refuses_changes_nothing_and_is_said_in_its_words(site):
    site.pod()
    site.apply(*_base(route()))
    before = site.gateway_files()
    with site.load() as load:
        wrong = route(matches=[{"path": {"type": "RegularExpression", "value": "^/(?=x).*$"}}])
        with pytest.raises(PlaneError, match=r"Envoy gateway does not take its routes: .*invalid perl operator"):
            site.apply(*_base(wrong))
        load.go_on(50)
        site.apply(*_base(route()))
        load.go_on(50)
    assert (load.failures, load.statuses) == ([], {200})
    asyncio.run(converge(site.gateway_folder, before))


def test_a_port_that_somebody_else_has_is_said(site):
    member = site.pod()
    squatter = site.backends.add("squatter", member.pod.outer, 8080)
    with pytest.raises(PlaneError, match=r"Address already in use"):
        site.apply(*_base(route()), patience=3)
    site.backends.remove(squatter)


def test_a_pod_that_nobody_can_call_has_an_envoy_all_the_same(site):
    site.pod("job-0", {"app": "job"}, "job", ports=())
    site.apply(peers())
    site.apply(peers(), _allow(GATEWAY))
    assert site.envoys[site.members["job-0"].folder].poll() is None


def test_a_log_that_was_renamed_is_begun_anew(site):
    site.pod()
    site.apply(*_base(route()))
    site.ask("/first")
    site.logged(site.gateway_log, lambda line: line["path"] == "/first")
    site.gateway_log.rename(site.gateway_log.with_suffix(".1"))
    asyncio.run(reopen_logs(site.gateway_folder))
    site.ask("/second")
    assert site.logged(site.gateway_log, lambda line: line["path"] == "/second")["code"] == 200


def test_an_envoy_that_was_killed_finds_its_documents_again(site):
    site.pod()
    site.apply(*_base(route()))
    killed = site.envoys.pop(site.gateway_folder)
    killed.kill()
    killed.wait()
    site.apply()
    assert site.ask().status == 200


def _retire(site, name: str) -> None:
    """End a Pod as the plane does: nobody is sent to it any more, its callers leave, then its programs stop."""
    site.ready(name, False)
    site.apply()
    _end_drained(site, name)


def _end_drained(site, name: str) -> None:
    assert asyncio.run(drain(site.members[name].folder, 10))
    site.end(name)
    site.apply()


def test_the_host_of_the_tests_is_the_one_that_kserve_would_make():
    assert HOST == "incident-models-network.presage.local"
