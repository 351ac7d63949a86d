"""The twin is the release's own description on another backend: same configuration, same scores, and no part of the release."""

import asyncio

import numpy as np
import onnxruntime
import psutil
import pytest
from builders.triton import convolution, descriptions

from presage.errors import ArtifactRefused
from presage.files import sha256_file
from presage.package.triton import BACKEND, TWIN_BACKEND, twin_config


def rows(count, seed=1):
    made = np.random.default_rng(seed).random((count, 48, 3)).astype(np.float32)
    made[made < 0.05] = np.nan
    return made


def test_the_twins_description_is_the_releases_but_for_the_line_of_the_backend(release):
    written = (release / "convolution" / "config.pbtxt").read_text()
    differing = [pair for pair in zip(written.splitlines(), twin_config(written, "x").splitlines(), strict=True) if pair[0] != pair[1]]
    assert differing == [(BACKEND, TWIN_BACKEND)]


@pytest.mark.parametrize("text", [
    "", 'name: "x"\nbackend: "tensorrt"\n', f"{BACKEND}\n{BACKEND}\n", f'{BACKEND}\nplatform: "onnxruntime_onnx"\n',
])  # fmt: skip
def test_a_description_that_is_not_ours_has_no_twin(text):
    with pytest.raises(ArtifactRefused, match="no twin"):
        twin_config(text, "config.pbtxt")


def test_triton_has_made_of_the_twin_what_the_release_says(release, triton, model):
    asyncio.run(triton.answering(model(triton, "convolution")))
    said, has = descriptions(triton, "convolution", release / "convolution" / "config.pbtxt")
    assert said.pop("backend") == "onnxruntime" and has.pop("backend") == "python"
    [group] = has["instanceGroup"]  # KIND_AUTO: on the CPU where there is no GPU
    assert group.pop("kind") == "KIND_CPU" and said["instanceGroup"] == [{"count": 1}]
    has["instanceGroup"] = [{"count": group["count"]}]
    assert has["dynamicBatching"].pop("preferredBatchSize") == [said["maxBatchSize"]]
    defaults = {"optimization", "defaultModelFilename", "modelTransactionPolicy"}  # what Triton fills in
    assert {key: value for key, value in has.items() if key not in defaults} == said


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_the_twin_scores_as_onnx_runtime_does_bit_by_bit(triton, model, count):
    session = onnxruntime.InferenceSession(convolution(), _one_thread(), providers=["CPUExecutionProvider"])
    x = rows(count)

    async def ask():
        asked = model(triton, "convolution")
        await triton.answering(asked)
        return await asked.score(x, 5.0)

    assert asyncio.run(ask()) == session.run(["score"], {"x": x})[0].tolist()
    assert "Traceback" not in triton.log()


def test_the_release_is_only_read(release, triton, model):
    before = {path.relative_to(release): sha256_file(path) for path in release.rglob("*") if path.is_file()}
    asyncio.run(triton.answering(model(triton, "convolution")))
    assert {path.relative_to(release): sha256_file(path) for path in release.rglob("*") if path.is_file()} == before
    assert {path.name for path in before} == {"config.pbtxt", "model.onnx"}


def test_it_listens_on_loopback_alone(triton, model):
    asyncio.run(triton.answering(model(triton, "convolution")))
    found = [one.laddr for one in psutil.Process(triton.process.pid).connections() if one.status == psutil.CONN_LISTEN]
    assert {f"{address.ip.removeprefix('::ffff:')}:{address.port}" for address in found} == {triton.http, triton.grpc, triton.metrics}


def _one_thread():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return options
