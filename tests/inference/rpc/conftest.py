"""A server with its gRPC door open, one a module, and rows to ask about."""

import grpc
import numpy as np
import pytest

from benchmarks.serving_process import ServerProcess


@pytest.fixture(scope="module")
def rpc_server(serving_site, tmp_path_factory):
    with ServerProcess(serving_site, tmp_path_factory.mktemp("rpc"), "--grpc_port=0", "--ship_seconds=0.2", "--patience_seconds=1") as running:
        yield running


@pytest.fixture(scope="module")
def channel(rpc_server):
    with grpc.insecure_channel(rpc_server.rpc_address) as opened:
        yield opened


@pytest.fixture(scope="module")
def rows(serving_site):
    return serving_site.x[~np.isnan(serving_site.x).any(axis=1)][:3]


@pytest.fixture(scope="module")
def risk(serving_site, rows):
    """What the packaged model and its calibration say of `rows`."""
    import onnxruntime

    scores = onnxruntime.InferenceSession(serving_site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]
    return pytest.approx(serving_site.calibration.apply(scores)[0], abs=1e-6)
