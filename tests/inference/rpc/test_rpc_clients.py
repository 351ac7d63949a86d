"""Other people's gRPC clients work unchanged. Each runs in a process of its own: KServe's and Triton's modules exclude each other."""

import json
import subprocess
import sys

import numpy as np
import pytest

TRITON = """
import asyncio, json, sys, threading
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
address, rows, known = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
client = triton.InferenceServerClient(address)
metadata = client.get_model_metadata("incident")
answers = {"live": client.is_server_live(), "ready": client.is_server_ready(), "model": client.is_model_ready("incident"),
           "metadata": [[tensor.name, tensor.datatype, list(tensor.shape)] for tensor in metadata.inputs], "server": client.get_server_metadata().name}
def x_input():
    x = triton.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows)
    return x
def server_input(*names):
    server = triton.InferInput("server", [len(names)], "BYTES")
    server.set_data_from_numpy(np.array([name.encode() for name in names], dtype=object))
    return server
wanted = [triton.InferRequestedOutput(name) for name in ("risk", "interval", "tier", "reasons")]
more = {"headers": {"x-a": "b"}, "parameters": {"domain": "network"}}
result = client.infer("incident", [x_input()], outputs=wanted, request_id="seven", timeout=5_000_000, priority=1, **more)
answers["raw"] = {"id": result.get_response().id, "risk": result.as_numpy("risk").tolist(), "dtype": str(result.as_numpy("risk").dtype),
                  "interval": list(result.as_numpy("interval").shape), "tier": [text.decode() for text in result.as_numpy("tier")],
                  "reasons": len(json.loads(result.as_numpy("reasons")[0]))}
answers["servers"] = client.infer("incident", [server_input("newcomer", known)]).as_numpy("risk").tolist()
done = threading.Event()
def finished(result, error):
    answers["async"] = str(error) if error else result.as_numpy("risk").tolist()
    done.set()
client.async_infer("incident", [server_input("newcomer", known)], finished)
assert done.wait(30)
for name, call in (("unknown", lambda: client.infer("absent", [x_input()])), ("late", lambda: client.infer("incident", [x_input()], timeout=1)),
                   ("unsupported", lambda: client.load_model("incident")), ("index", lambda: client.get_model_repository_index())):
    try:
        call()
    except triton.InferenceServerException as error:
        answers[name] = [error.status(), error.message()]
async def in_parallel():
    async with triton_aio.InferenceServerClient(address) as client:
        results = await asyncio.gather(*(client.infer("incident", [x_input()]) for _ in range(40)))
        return [result.as_numpy("risk").tolist() for result in results]
answers["parallel"] = asyncio.run(in_parallel())
print(json.dumps(answers))
"""

KSERVE = """
import asyncio, json, sys
import grpc
import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient
from kserve.protocol.infer_type import RequestedOutput
address, rows, known = sys.argv[1], np.load(sys.argv[2]), sys.argv[3]
async def main():
    async with InferenceGRPCClient(address, timeout=30) as client:
        answers = {"live": await client.is_server_live(), "ready": await client.is_server_ready(), "model": await client.is_model_ready("incident")}
        for form, binary in (("typed", False), ("raw", True)):
            x = InferInput("x", list(rows.shape), "FP32")
            x.set_data_from_numpy(rows, binary_data=binary)
            outputs = [RequestedOutput(name) for name in ("risk", "interval", "tier", "reasons")]
            request = InferRequest(model_name="incident", infer_inputs=[x], request_id="seven", request_outputs=outputs)
            response = await client.infer(request)
            found = {output.name: output for output in response.outputs}
            answers[form] = {"id": response.id, "risk": found["risk"].as_numpy().tolist(), "interval": list(found["interval"].as_numpy().shape),
                             "tier": [text if isinstance(text, str) else text.decode() for text in found["tier"].as_numpy()],
                             "raw": found["risk"]._raw_data is not None}
        server = InferInput("server", [2], "BYTES")
        server.set_data_from_numpy(np.array([b"newcomer", known.encode()], dtype=object), binary_data=True)
        response = await client.infer(InferRequest(model_name="incident", infer_inputs=[server]))
        answers["servers"] = response.outputs[0].as_numpy().tolist()
        try:
            await client.infer(InferRequest(model_name="absent", infer_inputs=[server]))
        except grpc.RpcError as error:
            answers["unknown"] = [error.code().name, error.details()]
        return answers
print(json.dumps(asyncio.run(main())))
"""


@pytest.fixture(scope="module")
def run(rpc_server, rows, serving_site, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, rows)

    def run(program):
        command = [sys.executable, "-c", program, rpc_server.rpc_address, str(path), serving_site.servers[0]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


def test_tritonclient_asks_with_raw_contents_at_once_later_and_forty_at_a_time(run, risk):
    answers = run(TRITON)
    assert answers["live"] and answers["ready"] and answers["model"] and answers["server"] == "presage"
    assert answers["metadata"][0] == ["server", "BYTES", [-1]] and answers["metadata"][1][:2] == ["x", "FP32"]
    raw = answers["raw"]
    assert raw["id"] == "seven" and raw["risk"] == risk and raw["dtype"] == "float32" and raw["interval"] == [3, 2] and raw["reasons"] == 3
    assert set(raw["tier"]) <= {"none", "watch", "act", "page"}
    assert answers["servers"] == answers["async"] and len(answers["servers"]) == 2
    assert len(answers["parallel"]) == 40 and all(found == risk for found in answers["parallel"])
    assert answers["unknown"] == ["StatusCode.NOT_FOUND", "There is no model 'absent' here. This server has 'incident'."]
    assert answers["late"][0] == "StatusCode.DEADLINE_EXCEEDED"
    assert answers["unsupported"][0] == answers["index"][0] == "StatusCode.UNIMPLEMENTED"


@pytest.mark.long
def test_kserves_client_asks_with_typed_and_with_raw_contents_and_is_answered_in_kind(run, risk):
    answers = run(KSERVE)
    assert answers["live"] and answers["ready"] and answers["model"]
    for form in ("typed", "raw"):
        found = answers[form]
        assert found["id"] == "seven" and found["risk"] == risk and found["interval"] == [3, 2] and set(found["tier"]) <= {"none", "watch", "act", "page"}
    assert answers["raw"]["raw"] and not answers["typed"]["raw"]
    assert len(answers["servers"]) == 2
    assert answers["unknown"] == ["NOT_FOUND", "There is no model 'absent' here. This server has 'incident'."]
