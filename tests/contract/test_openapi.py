"""The page that describes the server: examples that fit, answers that follow it, KServe's own page as a second opinion, and thousands of generated requests."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import jsonschema_rs
import pytest
from builders.ports import free_port

from benchmarks.serving_release import NEWCOMER


@pytest.fixture(scope="module")
def page(client):
    return client.get("/openapi.json").json()


def validator(page, schema):
    """Of a schema of the page. Its references lead into the page itself."""
    return jsonschema_rs.validator_for({**schema, "components": page["components"]})


def operations(page):
    return [(path, method, operation) for path, methods in page["paths"].items() for method, operation in methods.items()]


def test_every_example_fits_its_schema(page):
    found = 0
    for _, _, operation in operations(page):
        contents = [answer["content"]["application/json"] for answer in operation["responses"].values()]
        contents += [operation["requestBody"]["content"]["application/json"]] if "requestBody" in operation else []
        for content in contents:
            for example in [*([content["example"]] if "example" in content else []), *(given["value"] for given in content.get("examples", {}).values())]:
                assert [error.message for error in validator(page, content["schema"]).iter_errors(example)] == []
                found += 1
    assert found > 20


def test_every_example_request_is_one_that_the_server_understands(client, page):
    """Names of servers are made up, so those are not found; everything else is answered."""
    for path, method, operation in operations(page):
        for name, example in operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("examples", {}).items():
            answer = client.request(method, path, json=example["value"])
            assert answer.status_code == (404 if name == "servers" else 200), (path, name, answer.text)


def test_real_answers_follow_the_page(client, page, serving_site):
    whole = {"servers": [NEWCOMER, *serving_site.servers], "explain": True}
    wrong = [b"", b"{", b'{"servers": []}', b'{"servers": ["nobody"]}', b'{"rows": [{}]}', b'{"rows": [{"a": 1}]}']
    for path, method, operation in operations(page):
        bodies = [None] if method == "get" else [json.dumps(whole).encode(), *wrong]
        if path.endswith("infer"):
            names = serving_site.servers
            bodies[0] = json.dumps({"inputs": [{"name": "server", "datatype": "BYTES", "shape": [len(names)], "data": names}]}).encode()
        for body in bodies:
            answer = client.request(method, path, content=body)
            schema = operation["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
            assert [error.message for error in validator(page, schema).iter_errors(answer.json())] == [], (path, body)
        assert client.request(method, path, content=bodies[0]).status_code == 200


def test_old_names_are_marked_on_the_page(page):
    marked = {path for path, _, operation in operations(page) if operation.get("deprecated")}
    assert marked == {"/predict", "/servers"}
    assert page["paths"]["/predict"]["post"]["responses"]["200"]["headers"].keys() == {"Deprecation", "Sunset", "Link"}


def test_the_contract_is_on_the_page(page, serving_site):
    contract = serving_site.contract
    assert page["x-contract"] == {"name": contract.name, "version": contract.version, "entity": contract.entity, "horizon": contract.horizon}
    assert [field["name"] for field in page["x-inputs"]] == [field.name for field in contract.inputs]
    assert [field["name"] for field in page["x-outputs"]] == [field.name for field in contract.outputs]


@pytest.fixture(scope="module")
def kserve_page(serving_site, tmp_path_factory):
    """What KServe's own server says of itself, in a process of its own."""
    folder, port = tmp_path_factory.mktemp("kserve"), free_port()
    (folder / "model.onnx").write_bytes(serving_site.onnx)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "benchmarks/peers/kserve_model.py", str(folder / "model.onnx"), str(port)], stdout=log, stderr=log)
        try:
            transport = httpx2.HTTPTransport(retries=0)
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=5) as asking:
                yield asked_until_ready(asking, process, folder / "log")
        finally:
            process.terminate()
            process.wait(30)


def asked_until_ready(asking, process, log):
    import stamina

    for attempt in stamina.retry_context(on=httpx2.TransportError, attempts=None, timeout=90, wait_initial=0.1, wait_max=0.5):
        with attempt:
            assert process.poll() is None, log.read_text()
            return asking.get("/openapi.json").json()


def test_every_path_of_the_open_inference_protocol_that_kserve_describes_is_described_here_or_refused_by_name(client, page, kserve_page):
    """Same methods, same successful status; but for loading and unloading: a release is loaded at start and served whole."""
    compared = set()
    for path, methods in kserve_page["paths"].items():
        if not path.startswith("/v2") or "/generate" in path:
            continue
        ours = path.rstrip("/").replace("{model_name}", "incident").replace("{model_version}", "1")
        for method in methods:
            if "/repository/" in path:
                assert client.request(method, ours).status_code == 501
                continue
            assert method in page["paths"].get(ours, {}), f"{method} {ours}"
            assert "200" in page["paths"][ours][method]["responses"]
            compared.add((method, ours))
    assert len(compared) >= 8, kserve_page["paths"].keys()


def test_what_is_answered_is_what_kserves_schemas_ask_for(client, page, kserve_page, serving_site):
    """KServe's own schemas of its answers, over ours."""
    names = serving_site.servers
    infer = {"id": "seven", "inputs": [{"name": "server", "datatype": "BYTES", "shape": [len(names)], "data": names}]}
    checked = 0
    for path, methods in kserve_page["paths"].items():
        if not path.startswith("/v2") or "/repository/" in path or "/generate" in path:
            continue
        ours = path.rstrip("/").replace("{model_name}", "incident").replace("{model_version}", "1")
        for method, operation in methods.items():
            schema = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
            answer = client.request(method, ours, json=infer if method == "post" else None)
            found = jsonschema_rs.validator_for({**schema, "components": kserve_page["components"]}).iter_errors(answer.json())
            assert [error.message for error in found] == [], ours
            checked += bool(schema)
    assert checked >= 5


CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance", "response_headers_conformance",
    "unsupported_method",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("examples", [25, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])])
def test_no_generated_request_meets_an_undocumented_answer_or_a_fault(server, tmp_path, examples):
    """Seed 7 (schemathesis.toml), so many examples an operation, the stated checks."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(Path(__file__).with_name("schemathesis.toml")), "run",
        f"{server.address}/openapi.json", "--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--checks", ",".join(CHECKS),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=1400, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    generated, passed = map(int, re.search(r"(\d+) generated, (\d+) passed", done.stdout).groups())
    assert generated == passed > 5 * examples  # five operations take a body; the others have little to vary
