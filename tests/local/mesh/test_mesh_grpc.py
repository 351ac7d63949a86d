"""gRPC goes the same way as everything else: through both Envoys, by the same rules."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from mesh_objects import backend, gateway, peers, policy, route, service
from mesh_site import CLIENT, HOST

from presage.governance.audit.denials import denial_of

METHOD = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def grpc_site(site):
    member = site.pod(ports=(("http", 8080),))
    member.pod = type(member.pod)(**{**member.pod.__dict__, "ports": (("http", 8080), ("grpc", 8081))})
    handlers = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(lambda request, context: request[::-1]),
    })
    server = grpc.server(ThreadPoolExecutor(2), handlers=(handlers,))
    server.add_insecure_port(f"{member.pod.inner}:8081")
    server.start()
    both = service()
    both["spec"]["ports"].append({"name": "grpc", "port": 8081, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"})
    is_grpc = {"path": {"type": "PathPrefix", "value": "/inference.GRPCInferenceService"}, "headers": [
        {"name": "content-type", "type": "RegularExpression", "value": "^application/grpc.*$"},
    ]}
    edge = policy("edge", "gateway", rules=[{
        "from": [{"source": {"principals": [CLIENT.removeprefix("spiffe://")]}}], "to": [{"operation": {"methods": ["POST"], "paths": [METHOD, "/v2/*"]}}],
    }])
    site.apply(both, gateway(), peers(), edge, route(rules=[
        {"matches": [is_grpc], "backendRefs": [backend("incident-predictor") | {"port": 8081}]}, {"backendRefs": [backend("incident-predictor")]},
    ]))
    yield site
    server.stop(0).wait()


def call(site, method=METHOD, identity=None):
    identity = identity or site.client
    credentials = grpc.ssl_channel_credentials(site.edge_authority.certificate, identity.key, identity.certificate)
    with grpc.secure_channel(f"{site.server.outer}:8443", credentials, options=[("grpc.ssl_target_name_override", HOST)]) as channel:
        return channel.unary_unary(method)(b"abc", timeout=5)


def test_a_call_is_answered_and_http_beside_it_too(grpc_site):
    assert call(grpc_site) == b"cba"
    assert grpc_site.ask("/v2/models/incident/infer", method="POST", body=b"{}").body == "incident-0"
    line = grpc_site.logged(grpc_site.gateway_log, lambda line: line.get("path") == METHOD)
    assert (line["principal"], line["code"]) == (CLIENT, 200)


def test_a_method_or_a_caller_that_is_not_allowed_is_denied(grpc_site):
    for method, identity in (("/inference.GRPCInferenceService/RepositoryModelUnload", None), (METHOD, grpc_site.edge_authority.issue(uri=f"{CLIENT}2"))):
        with pytest.raises(grpc.RpcError) as denied:
            call(grpc_site, method, identity)
        assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED
    line = grpc_site.logged(grpc_site.gateway_log, lambda line: line["principal"] == f"{CLIENT}2")  # answered 200, with a gRPC status
    assert (line["code"], denial_of(line).who, denial_of(line).why) == (200, f"{CLIENT}2", "no rule allows it")
