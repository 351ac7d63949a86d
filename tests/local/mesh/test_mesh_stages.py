"""The order in which a running Envoy's documents change."""

from pathlib import Path

import pytest
from mesh_objects import backend, gateway, peers, route, service

from presage.local.mesh import EnvoyFiles, GatewayServer, MeshPod, needs_restart, read_mesh, sidecar, write
from presage.local.mesh import gateway as gateway_files
from presage.local.mesh.envoy.documents import CLUSTERS
from presage.local.mesh.envoy.folder import read
from presage.local.mesh.envoy.stages import stages

SERVER = GatewayServer("presage", "gateway", "127.200.0.1", "127.200.0.2")
CANARY = "incident-canary-predictor"


def pod(name, app="isvc.incident-predictor", account="incident", ready=True):
    number = sum(name.encode()) % 250
    return MeshPod(name, "models-network", account, {"app": app}, f"127.201.0.{number}", f"127.202.0.{number}", (("http", 8080),), ready, True)


def files(*objects, pods) -> EnvoyFiles:
    mesh = read_mesh([service(), gateway(), peers(), *objects], lambda text, who: None, Path())
    return gateway_files(mesh, SERVER, pods, certificates=Path("mine"), edge={("gateway", "gateway-tls"): Path("edge")}, log=Path("access.log"))


STABLE = files(route(), pods=[pod("incident-0")])
WITH_CANARY = files(
    service(CANARY), route(backend("incident-predictor", 95), backend(CANARY, 5)), pods=[pod("incident-0"), pod("canary-0", f"isvc.{CANARY}")],
)


def clusters(stage):
    return {resource["name"].split("||")[1].split(".")[0] for resource in stage.documents[CLUSTERS]["resources"]}


def test_a_new_service_is_there_before_the_route_that_leads_to_it():
    way = stages(STABLE, WITH_CANARY)
    assert [stage.what for stage in way] == ["Services", "routes"]
    assert clusters(way[0]) == {"incident-predictor", CANARY}


def test_a_service_goes_after_the_last_route_that_leads_to_it():
    way = stages(WITH_CANARY, STABLE)
    assert [stage.what for stage in way] == ["routes", "Services that are left"]
    assert clusters(way[1]) == {"incident-predictor"}


def test_a_new_identity_is_known_before_its_pod_is_called_and_the_old_one_until_it_is_not():
    after = files(route(), pods=[pod("incident-1", account="other")])
    way = stages(STABLE, after)
    assert [stage.what for stage in way] == ["Services", "Pods of Services", "Services that are left"]
    identities = [str(stage.documents.get(CLUSTERS)) for stage in way]
    assert "sa/incident" in identities[0]
    assert "sa/other" in identities[0]
    assert "sa/incident" not in identities[2]


def test_a_pods_new_tls_is_known_before_its_service_is_made_anew():
    mine = {"matchLabels": {"app": "isvc.incident-predictor"}}
    plain = files(route(), peers("DISABLE", "web", selector=mine), pods=[pod("incident-0")])
    assert [stage.what for stage in stages(plain, STABLE)] == ["Pods of Services", "Services that are left"]
    assert [stage.what for stage in stages(STABLE, plain)] == ["Pods of Services", "Services that are left"]


def test_where_nothing_changes_nothing_is_done():
    assert stages(STABLE, STABLE) == []


def test_a_changed_pod_changes_its_services_endpoints_alone():
    way = stages(STABLE, files(route(), pods=[pod("incident-0"), pod("incident-1")]))
    assert [(stage.what, list(stage.documents)) for stage in way] == [
        ("Pods of Services", ["endpoints/outbound_80__incident-predictor.models-network.svc.cluster.local.json"]),
    ]


def test_what_is_written_is_read_back_and_what_is_left_over_goes(tmp_path):
    write(tmp_path, WITH_CANARY)
    assert dict(read(tmp_path).discovery()) == dict(WITH_CANARY.discovery())
    assert not needs_restart(tmp_path, STABLE)
    write(tmp_path, STABLE)
    assert dict(read(tmp_path).discovery()) == dict(STABLE.discovery())
    assert len(list((tmp_path / "endpoints").iterdir())) == 1


@pytest.mark.parametrize("damage", ["listeners.json", "clusters.json", "bootstrap.json"])
def test_a_damaged_folder_is_no_folder(tmp_path, damage):
    write(tmp_path, STABLE)
    (tmp_path / damage).write_text("{")
    assert read(tmp_path) is None


def test_the_documents_are_the_same_whatever_the_order_of_objects_and_pods():
    objects = [service(CANARY), route(backend("incident-predictor", 95), backend(CANARY, 5)), service(), gateway(), peers()]
    pods = [pod("canary-0", f"isvc.{CANARY}"), pod("incident-0")]
    made = []
    for turned in (objects, objects[::-1]):
        mesh = read_mesh(turned, lambda text, who: None, Path())
        made.append(dict(sidecar(mesh, pods[1], pods, certificates=Path("mine"), log=Path("log")).discovery()))
        made.append(dict(gateway_files(
            mesh, SERVER, pods[:: 1 if turned is objects else -1], certificates=Path("mine"), edge={("gateway", "gateway-tls"): Path("edge")}, log=Path("log"),
        ).discovery()))
    assert made[:2] == made[2:]
