"""A real Triton, and models for it: a small convolution, and one whose rows say how it is to behave."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
import psutil
from builders.ports import free_port
from builders.releases import calibration, parts, policy, world
from onnx import TensorProto, helper, numpy_helper

from presage.features.declaration import BoundView, FeatureView
from presage.features.store import OnlineRow, open_online_store
from presage.package.calibration import VennAbers
from presage.package.contract import Contract, InputField, OutputField
from presage.package.package import PackageParts
from presage.package.release import compose
from presage.package.triton import triton_config
from presage.telemetry.clock import StreamClock

METRICS = ("system.cpu.utilization", "system.memory.utilization", "system.filesystem.utilization")
HISTORY = 48
SECRET = "a-test-knows-it"
CLOSED = "metadata,inference,shared-memory,model-config,model-repository,statistics,trace,logging"


def sequence_view(history: int = HISTORY) -> BoundView:
    whole = timedelta(minutes=5) * history
    declared = FeatureView("ticks", "server", timedelta(minutes=5), (timedelta(minutes=15), whole), ("mean",), (), (), history, 0.5)
    return declared.bind(list(METRICS))


def sequence_contract(name: str = "incident-sequence") -> Contract:
    bound = sequence_view()
    outputs = [OutputField("risk", "FP32", [-1], "risk of an incident within the horizon")]
    inputs = [InputField(metric, low=0.0, high=1.0) for metric in METRICS]
    return Contract(name, "1.0.0", "sequence", inputs, outputs, bound.as_document(), bound.version, history=HISTORY)


def convolution(seed: int = 7) -> bytes:
    """x FP32 [batch, HISTORY, metrics] → score FP32 [batch]: two causal convolutions, NaN seen as 0."""
    random = np.random.default_rng(seed)
    constants = {
        "zero": np.zeros((), np.float32),
        "w1": random.normal(size=(8, len(METRICS), 3)).astype(np.float32),
        "w2": random.normal(size=(8, 8, 3)).astype(np.float32) / 4,
        "out": random.normal(size=(8, 1)).astype(np.float32),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["filled"]),
        helper.make_node("Transpose", ["filled"], ["channels"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["channels", "w1"], ["c1"], pads=[2, 0]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], pads=[4, 0], dilations=[2]),
        helper.make_node("ReduceMean", ["c2"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["mean", "out"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["score"]),
    ]
    return _model(nodes, constants)


def moody() -> bytes:
    """As the first row of a batch says in its first tick: so many turns of work (about a millisecond each), so many numbers of memory."""
    random = np.random.default_rng(3)
    constants = {
        "start": np.array([0, 0, 0], np.int64), "zero": np.zeros((), np.float32), "always": np.array(True),
        "first": np.array([1, 1, 1], np.int64), "second": np.array([0, 0, 1], np.int64), "then": np.array([1, 1, 2], np.int64),
        "flat": np.array([-1], np.int64), "axes": np.array([0], np.int64), "matrix": (random.normal(size=(400, 400)) / 40).astype(np.float32),
    }  # fmt: skip
    turn = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["go"]), helper.make_node("MatMul", ["state", "matrix"], ["raw"]), helper.make_node("Tanh", ["raw"], ["next"])],
        "turn",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []), helper.make_tensor_value_info("on", TensorProto.BOOL, []),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, [400, 400])],
        [helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("next", TensorProto.FLOAT, [400, 400])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["x", "start", "first"], ["asked_turns"]),
        helper.make_node("Cast", ["asked_turns"], ["whole_turns"], to=TensorProto.INT64),
        helper.make_node("Squeeze", ["whole_turns"], ["turns"]),
        helper.make_node("Loop", ["turns", "always", "matrix"], ["worked"], body=turn),
        helper.make_node("ReduceMean", ["worked"], ["work"], keepdims=0),
        helper.make_node("Slice", ["x", "second", "then"], ["asked_numbers"]),
        helper.make_node("Cast", ["asked_numbers"], ["whole_numbers"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["whole_numbers", "flat"], ["numbers"]),
        helper.make_node("Expand", ["zero", "numbers"], ["memory"]),
        helper.make_node("ReduceSum", ["memory", "axes"], ["held"], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["work", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["sum"]),
        helper.make_node("Add", ["sum", "held"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["score"]),
    ]
    return _model(nodes, constants)


def _model(nodes, constants) -> bytes:
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", HISTORY, len(METRICS)]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    graph = helper.make_graph(nodes, "sequence", ends[:1], ends[1:], [numpy_helper.from_array(value, name) for name, value in constants.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString(deterministic=True)


def sequence_parts(model: str = "incident-sequence", seed: int = 7) -> PackageParts:
    return replace(parts(model), family="temporal_convolution", contract=sequence_contract(), onnx=convolution(seed))


def repository(folder: Path, **models: bytes) -> Path:
    """A Triton repository as the gate lays it out."""
    for model, content in models.items():
        (folder / model / "1").mkdir(parents=True)
        (folder / model / "config.pbtxt").write_text(triton_config(model, sequence_contract()))
        (folder / model / "1" / "model.onnx").write_bytes(content)
    return folder


@dataclass(frozen=True)
class SequenceSite:
    """What a server of the sequence model is started with. servers: with an online row each; x: f32[servers, HISTORY, metrics], their history."""

    model_dir: Path
    trust_keys: Path
    online_store: Path
    servers: list[str]
    x: np.ndarray
    calibration: VennAbers


def sequence_site(root: Path) -> SequenceSite:
    """A release of the convolution alone that the gate laid out for the GPU family, and a small fleet."""
    made = world(root)
    stored = {"primary": made.package(sequence_parts())}
    made = replace(made, published=made.store.publish(compose("incident-sequence", stored, policy(), 0.05), stored, made.key))
    bound = sequence_view()
    random = np.random.default_rng(4)
    x = random.random((3, HISTORY, len(METRICS))).astype(np.float32)
    servers = [f"srv-{number}" for number in range(3)]
    store = open_online_store(f"sqlite:{root / 'online.db'}")
    values, whole = random.random((3, len(bound.names))).astype(np.float32), np.ones(2, np.float32)
    store.put_service("incident", bound, "simulated", StreamClock(event_origin=1e9, wall_origin=time.time(), speed=1.0))
    store.write("incident", [OnlineRow(name, 1e9, bound.version, values[index], whole, x[index]) for index, name in enumerate(servers)])
    store.close()
    return SequenceSite(made.pod("gpu", triton=True), root / "keys", root / "online.db", servers, x, calibration())


class TritonProcess:
    """The server that stands for Triton on the plane, with the arguments of the runtime presage-gpu. After `kill` it can be started again,
    at the same ports."""

    def __init__(self, release: Path, scratch: Path) -> None:
        self.http, self.grpc, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self._release, self._scratch = release, scratch
        self._log = scratch / "log"

    def __enter__(self) -> "TritonProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        self.process.wait(30)
        self._end_group()

    def start(self) -> None:
        """Start it; it is not waited for."""
        ports = zip(("http", "grpc", "metrics"), (self.http, self.grpc, self.metrics), strict=True)
        words = [word for name, address in ports for word in (f"--{name}-address=127.0.0.1", f"--{name}-port={address.rpartition(':')[2]}")]
        command = [
            sys.executable, "-m", "inference.triton", f"--model-repository={self._release}", *words,
            "--model-control-mode=none", "--disable-auto-complete-config", "--strict-readiness=true", "--exit-timeout-secs=2",
            f"--http-restricted-api={CLOSED}:presage-closed={SECRET}",
            f"--grpc-restricted-protocol={CLOSED.removeprefix('metadata,inference,')}:presage-closed={SECRET}",
        ]  # fmt: skip
        with self._log.open("ab") as log:
            environment = {**os.environ, "TMPDIR": str(self._scratch)}
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def hang(self) -> None:
        """Stop it where it stands, until SIGCONT: it takes calls, and answers none."""
        self.process.send_signal(signal.SIGSTOP)
        while psutil.Process(self.process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.001)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self._end_group()

    def _end_group(self) -> None:
        """A stub outlives a server that was killed; a container would end with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def answering(self, *models, seconds: float = 30):
        """On a running loop: wait until these models are ready."""

        async def wait() -> None:
            async with asyncio.timeout(seconds):
                await models[0]._server.until_ready(models)

        return wait()


def descriptions(triton: TritonProcess, model: str, written: Path) -> tuple[dict, dict]:
    """(what a config.pbtxt says, what Triton has made of its own), both as JSON, by tritonclient in a process of its own."""
    script = Path(__file__).with_name("triton_description.py")
    told = subprocess.run([sys.executable, script, triton.grpc, SECRET, model, written], check=True, capture_output=True, timeout=60)
    said, has = json.loads(told.stdout)
    return said, has
