"""Other people's clients work unchanged. Each runs in a process of its own: KServe's and Triton's gRPC modules exclude each other."""

import json
import subprocess
import sys

import numpy as np
import pytest

TRITON = """
import json, sys
import numpy as np
import tritonclient.http as http
address, rows = sys.argv[1].removeprefix("http://"), np.load(sys.argv[2])
client = http.InferenceServerClient(address)
answers = {"live": client.is_server_live(), "ready": client.is_server_ready(), "model": client.is_model_ready("incident"),
           "metadata": client.get_model_metadata("incident")["inputs"][1], "server": client.get_server_metadata()["name"]}
def ask(binary_in, outputs):
    x = http.InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows, binary_data=binary_in)
    return client.infer("incident", [x], outputs=outputs, request_id="seven")
for name, binary_in, binary_out in (("json", False, False), ("binary", True, True), ("mixed", True, False)):
    wanted = [http.InferRequestedOutput(output, binary_data=binary_out) for output in ("risk", "interval", "tier", "reasons")]
    result = ask(binary_in, wanted)
    answers[name] = {"id": result.get_response()["id"], "risk": result.as_numpy("risk").tolist(), "interval": list(result.as_numpy("interval").shape),
                     "tier": [text.decode() for text in result.as_numpy("tier").astype(bytes)], "reasons": len(json.loads(result.as_numpy("reasons")[0]))}
default = ask(True, None)
answers["default"] = {"risk": default.as_numpy("risk").tolist(), "dtype": str(default.as_numpy("risk").dtype)}
server = http.InferInput("server", [2], "BYTES")
server.set_data_from_numpy(np.array(["newcomer", sys.argv[3]], dtype=object))
answers["servers"] = client.infer("incident", [server]).as_numpy("risk").tolist()
asynchronous = client.async_infer("incident", [server]).get_result().as_numpy("risk").tolist()
answers["async"] = asynchronous
try:
    client.infer("absent", [server])
except http.InferenceServerException as error:
    answers["unknown"] = error.message()
print(json.dumps(answers))
"""

KSERVE = """
import asyncio, json, sys
import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
address, rows = sys.argv[1], np.load(sys.argv[2])
async def main():
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30))
    answers = {"live": await client.is_server_live(address), "ready": await client.is_server_ready(address)}
    answers["model"] = await client.is_model_ready(address, "incident")
    for name, binary in (("json", False), ("binary", True)):
        x = InferInput("x", list(rows.shape), "FP32")
        x.set_data_from_numpy(rows, binary_data=binary)
        response = await client.infer(address, InferRequest(model_name="incident", infer_inputs=[x], request_id="seven"), model_name="incident")
        outputs = {output.name: output for output in response.outputs}
        answers[name] = {"id": response.id, "risk": outputs["risk"].as_numpy().tolist(), "interval": list(outputs["interval"].as_numpy().shape)}
    x = InferInput("x", list(rows.shape), "FP32")
    x.set_data_from_numpy(rows, binary_data=True)
    request = InferRequest(model_name="incident", infer_inputs=[x], request_outputs=[RequestedOutput("risk", {"binary_data": True})])
    response = await client.infer(address, request, model_name="incident")
    answers["output"] = response.outputs[0].as_numpy().tolist()
    server = InferInput("server", [1], "BYTES")
    server.set_data_from_numpy(np.array([b"newcomer"], dtype=object), binary_data=True)
    response = await client.infer(address, InferRequest(model_name="incident", infer_inputs=[server]), model_name="incident")
    answers["servers"] = response.outputs[0].as_numpy().tolist()
    await client.close()
    print(json.dumps(answers))
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def asked(server, serving_site, tmp_path_factory):
    rows = serving_site.x[~np.isnan(serving_site.x).any(axis=1)][:3]
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, rows)
    import onnxruntime

    scores = onnxruntime.InferenceSession(serving_site.onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": rows})[0]

    def run(program):
        command = [sys.executable, "-c", program, server.address, str(path), serving_site.servers[0]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run, pytest.approx(serving_site.calibration.apply(scores)[0], abs=1e-6)


def test_tritonclient_speaks_json_and_binary_tensors(asked):
    run, risk = asked
    answers = run(TRITON)
    assert answers["live"] and answers["ready"] and answers["model"] and answers["server"] == "presage"
    assert answers["metadata"]["shape"][0] == -1
    for form in ("json", "binary", "mixed"):
        assert answers[form]["id"] == "seven" and answers[form]["risk"] == risk and answers[form]["interval"] == [3, 2] and answers[form]["reasons"] == 3
        assert set(answers[form]["tier"]) <= {"none", "watch", "act", "page"}
    assert answers["default"] == {"risk": risk, "dtype": "float32"}
    assert answers["servers"] == answers["async"] and len(answers["servers"]) == 2
    assert "no model 'absent'" in answers["unknown"]


@pytest.mark.long
def test_kserves_rest_client_speaks_json_and_binary_tensors(asked):
    run, risk = asked
    answers = run(KSERVE)
    assert answers["live"] and answers["ready"] and answers["model"]
    for form in ("json", "binary"):
        assert answers[form]["id"] == "seven" and answers[form]["risk"] == risk and answers[form]["interval"] == [3, 2]
    assert answers["output"] == risk and len(answers["servers"]) == 1
