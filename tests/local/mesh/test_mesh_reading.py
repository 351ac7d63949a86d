"""Objects of the mesh are read strictly: what is not honoured is refused or said, never passed over."""

import copy
import json

import pytest
from mesh_objects import backend, destination, gateway, limit, peers, policy, route, service, thing, tokens
from mesh_tokens import Issuer

from presage.local.mesh import MeshPod, read_mesh
from presage.local.mesh.kinds.destinations import rule_for
from presage.local.mesh.kinds.names import Name
from presage.local.mesh.kinds.peers import mode_of
from presage.manifests.fields import FieldError

KEYS = Issuer().keys


def read(*objects, state=None, notes=None):
    return read_mesh(objects, lambda text, who: notes.append((text, who)) if notes is not None else None, state)


def with_(manifest, path, value):
    """The manifest with one field written; a path like spec.rules.0.name."""
    found = copy.deepcopy(manifest)
    inner = found
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        inner = inner[part] if isinstance(inner, list) else inner.setdefault(part, {})
    inner[last] = value
    return found


ALL = (service(), gateway(), route(), peers(), policy("p", rules=[{}]), tokens(KEYS), destination(), limit(10))


def test_the_whole_mesh_is_read():
    mesh = read(*ALL)
    assert (len(mesh.services), len(mesh.gateways), len(mesh.routes), len(mesh.limits)) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (service(), "spec.surprise"), (service(), "spec.ports.0.surprise"), (gateway(), "spec.surprise"), (gateway(), "spec.listeners.0.surprise"),
        (gateway(), "spec.listeners.0.tls.surprise"), (gateway(), "spec.listeners.0.allowedRoutes.surprise"), (route(), "spec.surprise"),
        (route(), "spec.rules.0.surprise"), (route(), "spec.rules.0.matches.0.surprise"), (route(), "spec.rules.0.backendRefs.0.surprise"),
        (route(), "spec.rules.0.timeouts.surprise"), (route(), "spec.parentRefs.0.surprise"), (peers(), "spec.surprise"), (peers(), "spec.mtls.surprise"),
        (policy("p", rules=[{"to": [{"operation": {"paths": ["/"]}}]}]), "spec.rules.0.surprise"), (policy("p"), "spec.surprise"),
        (policy("p", rules=[{"to": [{"operation": {"paths": ["/"]}}]}]), "spec.rules.0.to.0.operation.surprise"),
        (policy("p", rules=[{"from": [{"source": {"principals": ["*"]}}]}]), "spec.rules.0.from.0.source.surprise"),
        (tokens(KEYS), "spec.jwtRules.0.surprise"), (tokens(KEYS), "spec.surprise"), (destination(), "spec.trafficPolicy.surprise"),
        (destination(), "spec.trafficPolicy.connectionPool.http.surprise"), (destination(), "spec.trafficPolicy.outlierDetection.surprise"),
        (destination(), "spec.surprise"), (limit(1), "spec.configPatches.0.surprise"), (limit(1), "spec.surprise"),
        (limit(1), "spec.configPatches.0.patch.value.typed_config.surprise"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["kind"],
)
def test_an_unknown_field_is_refused_by_name(manifest, path):
    others = [each for each in ALL if each["kind"] != manifest["kind"]]
    with pytest.raises(FieldError, match="surprise"):
        read(*others, with_(manifest, path, 1))


REFUSED = [
    (with_(gateway(), "spec.listeners.0.protocol", "HTTP"), "is not HTTPS: nothing enters the mesh in plain text"),
    (with_(gateway(), "spec.listeners.0.tls.mode", "Passthrough"), "is not Terminate"),
    (with_(gateway(), "spec.listeners.0.tls.options", {"gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL"}), "SIMPLE or MUTUAL"),
    (with_(gateway(), "spec.listeners.0.tls.certificateRefs", []), "names 0 Secrets"),
    (with_(gateway(), "spec.listeners.0.tls.certificateRefs.0.namespace", "other"), "Secret of the Gateway's own namespace"),
    (with_(gateway(), "spec.listeners.0.allowedRoutes.namespaces", {"from": "Same"}), "admits no routes of its namespace"),
    (with_(gateway(), "spec.gatewayClassName", "nginx"), "is not istio"),
    (with_(gateway(), "spec.tls", {"frontend": {}}), "is not honoured on the plane"),
    (route(backend("nobody")), "there is no Service models-network/nobody"),
    (with_(route(), "spec.rules.0.backendRefs.0.port", 81), "has no port 81"),
    (with_(route(), "spec.rules.0.backendRefs.0.namespace", "other"), "of the route's own namespace"),
    (route(backend("incident-predictor", 0)), "sum to 0"),
    (route(backend("incident-predictor", -1)), "must lie between 0 and 1000000"),
    (route(backend("incident-predictor"), backend("incident-predictor", 5)), "twice"),
    (with_(route(), "spec.parentRefs.0.name", "nobody"), "names Gateway gateway/nobody, which is not there"),
    (with_(route(), "spec.parentRefs.0.sectionName", "http"), "does not have"),
    (with_(route(), "spec.parentRefs.0.kind", "Service"), "routes at Gateways only"),
    (route(filters=[{"type": "RequestMirror", "requestMirror": {}}]), "RequestMirror"),
    (route(matches=[{"path": {"type": "RegularExpression", "value": "("}}]), "no regular expression"),
    (route(timeouts={"request": "1s", "backendRequest": "2s"}), "longer than request"),
    (route(timeouts={"request": "soon"}), "no duration"),
    (peers("SOMETIMES"), "it may be STRICT"),
    (peers(portLevelMtls={"9090": {"mode": "DISABLE"}}), "needs a selector"),
    (policy("p", action="CUSTOM"), "asks a provider"),
    (policy("p", action="AUDIT"), "nothing here audits"),
    (policy("p", annotations={"istio.io/dry-run": "true"}, rules=[{}]), "dry-run"),
    (policy("p", selector={"matchLabels": {}}), "no matchLabels"),
    (policy("p", selector={}), "no matchLabels"),
    (policy("p", "gateway", targetRefs=[{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "nobody"}]), "names Gateway nobody"),
    (policy("p", targetRefs=[{"kind": "Service", "name": "x"}]), "no waypoints"),
    (policy("p", rules=[{"from": []}]), "empty list, which would hold for everything"),
    (policy("p", rules=[{"from": [{"source": {}}]}]), "says nothing"),
    (policy("p", rules=[{"from": [{"source": {"principals": []}}]}]), "empty list, which would hold for everything"),
    (policy("p", rules=[{"from": [{"source": {"principals": ["spiffe://cluster.local/ns/a/sa/b"]}}]}]), "no identity"),
    (policy("p", rules=[{"from": [{"source": {"principals": ["cluster.local/*/sa/b"]}}]}]), "no identity"),
    (policy("p", rules=[{"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}]), "Name callers by principal"),
    (policy("p", rules=[{"when": [{"key": "source.ip", "values": ["10.0.0.1"]}]}]), "Name callers by principal"),
    (policy("p", rules=[{"when": [{"key": "request.colour", "values": ["red"]}]}]), "not understood here"),
    (policy("p", rules=[{"when": [{"key": "request.headers[x]"}]}]), "asks nothing"),
    (policy("p", rules=[{"to": [{"operation": {"paths": ["/v2/{*}"]}}]}]), "path template"),
    (policy("p", rules=[{"to": [{"operation": {"ports": ["http"]}}]}]), "no port"),
    (policy("p", rules=[{"to": [{"operation": {"ports": [8080]}}]}]), "Quote it"),
    (tokens("{}"), "no JWK set"), (tokens('{"keys": []}'), "without keys"),
    (tokens(json.dumps({"keys": [{"kty": "EC", "d": "secret", "kid": "mine"}]})), r"private or symmetric key \(mine\)"),
    (with_(tokens(KEYS), "spec.jwtRules.0", {"issuer": "x", "jwksUri": "https://issuer/keys"}), "nothing is fetched on the plane"),
    (with_(tokens(KEYS), "spec.jwtRules.0", {"issuer": "x"}), "names no keys"),
    (destination(tls={"mode": "SIMPLE"}), "ISTIO_MUTUAL"), (destination(loadBalancer={"simple": "PASSTHROUGH"}), "LEAST_REQUEST"),
    (with_(destination(), "spec.subsets", [{"name": "v1"}]), "is not honoured"),
    (with_(destination(), "spec.exportTo", ["somewhere"]), "exportTo"),
    (with_(limit(1), "spec.configPatches.0.applyTo", "CLUSTER"), "The plane honours one HTTP_FILTER patch"),
    (with_(limit(1), "spec.configPatches.0.patch.value.name", "envoy.filters.http.lua"), "The plane honours one HTTP_FILTER patch"),
    (with_(limit(1), "spec.configPatches.0.match.context", "ANY"), "The plane honours one HTTP_FILTER patch"),
    (service(port={"protocol": "UDP"}), "is not TCP"),
    (with_(service(), "spec.type", "ExternalName"), "no DNS here"), (with_(service(), "spec.sessionAffinity", "ClientIP"), "not kept to one Pod"),
    (thing("networking.istio.io/v1", "Sidecar", "x", egress=[{"hosts": ["everything"]}]), "Write NAMESPACE/HOST"),
    (thing("networking.istio.io/v1", "Sidecar", "x", ingress=[{"port": {}}]), "ingress"),
    (thing("networking.istio.io/v1", "VirtualService", "x"), "VirtualService is not honoured"),
    (thing("gateway.networking.k8s.io/v1", "GRPCRoute", "x"), "GRPCRoute is not honoured"),
    (thing("extensions.istio.io/v1alpha1", "WasmPlugin", "x"), "WasmPlugin is not honoured"),
]


@pytest.mark.parametrize(("manifest", "sentence"), REFUSED, ids=lambda value: value if isinstance(value, str) else value["kind"])
def test_what_is_not_honoured_is_refused_with_a_remedy(manifest, sentence):
    others = [each for each in ALL if each["kind"] != manifest["kind"]]
    with pytest.raises(FieldError, match=sentence):
        read(*others, manifest)


def test_what_cannot_be_kept_is_said():
    notes: list[tuple[str, str]] = []
    read(
        *ALL, destination("gone", connectionPool={"tcp": {"tcpKeepalive": {"time": "60s"}}}),
        thing("networking.istio.io/v1", "Sidecar", "egress", egress=[{"hosts": ["./*"]}]),
        thing("telemetry.istio.io/v1", "Telemetry", "log"), with_(service("public"), "spec.type", "LoadBalancer"), notes=notes,
    )
    said = " ".join(text for text, _ in notes)
    for word in ("tcpKeepalive", "gone.models-network.svc.cluster.local", "Sidecar", "Telemetry", "LoadBalancer"):
        assert word in said


def test_two_policies_for_the_same_are_refused_because_their_age_would_decide():
    with pytest.raises(FieldError, match="speaks for the whole namespace, as"):
        read(peers(), peers("PERMISSIVE", "other"))
    with pytest.raises(FieldError, match="Keep one"):
        read(destination("x.models-network.svc.cluster.local"), destination("x"))


def test_keys_come_from_the_file_of_the_state_that_the_annotation_names(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "issuer.jwks").write_text(KEYS)
    wanted = with_(tokens(KEYS), "spec.jwtRules.0", {"issuer": "x", "jwksUri": "https://issuer/keys"})
    annotated = with_(wanted, "metadata.annotations", {"plane.presage/jwks": "keys/issuer.jwks"})
    assert read(gateway(), annotated, state=tmp_path).tokens[0].rules[0].keys == KEYS
    with pytest.raises(FieldError, match="outside the state directory"):
        read(gateway(), with_(wanted, "metadata.annotations", {"plane.presage/jwks": "../issuer.jwks"}), state=tmp_path)
    with pytest.raises(FieldError, match="holds no such file"):
        read(gateway(), with_(wanted, "metadata.annotations", {"plane.presage/jwks": "keys/other.jwks"}), state=tmp_path)


def test_the_closest_word_about_mutual_tls_holds():
    pod = MeshPod("web-0", "models-network", "web", {"app": "web"}, "127.1.1.1", "127.1.1.2", (("http", 8080),), True, True)
    mine = {"matchLabels": {"app": "web"}}

    def mode(*objects, port=8080):
        return mode_of(read(*objects).peers, pod, port)

    mesh_wide = peers("STRICT", namespace="istio-system")
    assert mode() == "PERMISSIVE"
    assert mode(mesh_wide) == "STRICT"
    assert mode(mesh_wide, peers("DISABLE")) == "DISABLE"
    assert mode(mesh_wide, peers("UNSET")) == "STRICT"
    assert mode(peers("DISABLE"), peers("STRICT", "web", selector=mine)) == "STRICT"
    assert mode(peers("STRICT"), peers("UNSET", "web", selector=mine, portLevelMtls={"9090": {"mode": "DISABLE"}})) == "STRICT"
    assert mode(peers("STRICT"), peers("UNSET", "web", selector=mine, portLevelMtls={"9090": {"mode": "DISABLE"}}), port=9090) == "DISABLE"
    assert mode(peers("STRICT"), peers("DISABLE", "other", selector={"matchLabels": {"app": "other"}})) == "STRICT"
    assert mode(peers("STRICT", namespace="other")) == "PERMISSIVE"


def test_what_is_said_for_the_pod_about_calls_goes_before_what_is_said_for_its_namespace_and_the_mesh():
    pod = MeshPod("web-0", "models-network", "web", {"app": "web"}, "127.1.1.1", "127.1.1.2", (("http", 8080),), True, True)

    def callable_with(*objects):
        return [host.split(".")[0] for host in read(service("one"), with_(service("two"), "metadata.namespace", "other"), *objects).callable_from(pod)]

    mesh = thing("networking.istio.io/v1", "Sidecar", "default", "istio-system", egress=[{"hosts": ["other/*"]}])
    namespace = thing("networking.istio.io/v1", "Sidecar", "default", egress=[{"hosts": ["./*"]}])
    mine = thing("networking.istio.io/v1", "Sidecar", "web", workloadSelector={"labels": {"app": "web"}}, egress=[{"hosts": ["*/two.other.svc.cluster.local"]}])
    assert callable_with() == ["one", "two"]
    assert callable_with(mesh) == ["two"]
    assert callable_with(mesh, namespace) == ["one"]
    assert callable_with(mesh, namespace, mine) == ["two"]


def test_the_callers_own_rule_goes_before_the_services_and_the_closest_host_before_a_wider_one():
    host = "incident-predictor.models-network.svc.cluster.local"
    rules = read(
        service(), destination(), destination("*.models-network.svc.cluster.local"), destination(host, "gateway"), destination("*", "istio-system"),
        with_(destination("*.svc.cluster.local", "telemetry"), "spec.exportTo", ["."]),
    ).destinations
    assert rule_for(rules, host, "gateway").name.namespace == "gateway"
    assert rule_for(rules, host, "other").name == Name("models-network", "incident-predictor")
    assert rule_for(rules, "x.models-network.svc.cluster.local", "other").host == "*.models-network.svc.cluster.local"
    assert rule_for(rules, "x.other.svc.cluster.local", "other").name.namespace == "istio-system"
    assert rule_for(rules, "x.telemetry.svc.cluster.local", "other").name.namespace == "istio-system"
    assert rule_for(rules, "x.telemetry.svc.cluster.local", "telemetry").name.namespace == "telemetry"
