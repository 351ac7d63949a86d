"""gRPC on the running plane: through the gateway with certificate and token, by the same policy as everything else, to the predictor's own port."""

import json
from pathlib import Path

import grpc
import pytest
from builders.mesh_plane import RunningPlane
from builders.rpc_calls import Refused, call, infer, infer_request

from inference.server.rpc.protocol import MESSAGES


def through_the_gateway(plane: RunningPlane, account: str = "operators") -> grpc.Channel:
    address, port = plane.door
    folder = plane.certificate(account)
    authority = Path(plane.status.client.ca).read_bytes()
    credentials = grpc.ssl_channel_credentials(authority, (folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes())
    named = [("grpc.ssl_target_name_override", plane.host), ("grpc.default_authority", plane.host)]
    return grpc.secure_channel(f"{address}:{port}", credentials, options=named)


def bearer(plane: RunningPlane, account: str = "operators") -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {plane.token(account)}"),)


def test_a_prediction_over_grpc_is_the_one_over_http(plane):
    over_http = json.loads(plane.ask("/predict", "POST", json.dumps({"servers": ["app-01"]}).encode()).body)["predictions"][0]
    with through_the_gateway(plane) as channel:
        got = infer(channel, infer_request(servers=["app-01"]), metadata=bearer(plane))
    assert got["risk"][0] == pytest.approx(over_http["risk"], abs=0.05)  # telemetry goes on between the two
    assert got["tier"][0] in ("none", "watch", "act", "page")


def test_a_client_may_call_over_grpc_what_its_clause_says_and_nothing_else(plane):
    with through_the_gateway(plane, "status-page") as channel:
        token = bearer(plane, "status-page")
        assert call(channel, "ServerReady", b"", metadata=token)[0].ready
        with pytest.raises(Refused) as refused:
            call(channel, "ModelInfer", infer_request(servers=["app-01"]), metadata=token)
        assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
    with through_the_gateway(plane) as channel:
        assert call(channel, "ModelMetadata", MESSAGES["ModelMetadataRequest"](name="incident"), metadata=bearer(plane))[0].name == "incident"
        for method in ("RepositoryModelUnload", "ModelConfig"):
            with pytest.raises(Refused) as refused:
                call(channel, method, b"", metadata=bearer(plane))
            assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_without_a_token_a_call_is_denied(plane):
    with through_the_gateway(plane) as channel, pytest.raises(Refused) as refused:
        call(channel, "ServerReady", b"")
    assert refused.value.code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
