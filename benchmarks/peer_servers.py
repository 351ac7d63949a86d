"""Other model servers around one ONNX file, each started as its documentation says, on a port of its own.

    with peer("KServe", onnx, folder, prefix=("taskset", "-c", "0")) as server:
        server.address, server.path, server.pid
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[1]
MLSERVER = ROOT / ".venv" / "mlserver"
"""MLServer asks for old packages: it has an environment of its own (`make bench-peers`)."""
Command = tuple[list[str], dict[str, str]]


@dataclass(frozen=True)
class Peer:
    """A running server. path: where rows are posted; pids: whose CPU time is its own."""

    name: str
    address: str
    path: str
    process: "subprocess.Popen[bytes]"

    @property
    def pids(self) -> list[int]:
        main = psutil.Process(self.process.pid)
        return [main.pid, *(child.pid for child in main.children(recursive=True))]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def available() -> list[str]:
    """Peers that can run here."""
    names = ["KServe", "bare ASGI"]
    if (MLSERVER / "bin" / "mlserver").exists():
        names.append("MLServer")
    if triton_binary().exists():
        names.append("Triton")
    return names


def triton_binary() -> Path:
    return ROOT / ".venv" / "triton" / "pytriton" / "tritonserver" / "bin" / "tritonserver"


@contextmanager
def peer(name: str, onnx: Path, folder: Path, width: int, prefix: tuple[str, ...] = ()) -> Iterator[Peer]:
    """Started, ready, and ended with the block. width: inputs of the model."""
    port = free_port()
    command, environment = _COMMANDS[name](onnx, folder, port, width)
    log = (folder / f"{name.replace(' ', '-')}.log").open("wb")
    process = subprocess.Popen([*prefix, *command], stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})
    try:
        _wait(process, port, name, Path(log.name))
        yield Peer(name, f"127.0.0.1:{port}", "/v2/models/incident/infer", process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _kserve(onnx: Path, folder: Path, port: int, width: int) -> Command:
    return [sys.executable, str(PEERS / "kserve_model.py"), str(onnx), str(port)], {}


def _bare(onnx: Path, folder: Path, port: int, width: int) -> Command:
    return [sys.executable, str(PEERS / "bare_asgi.py"), str(onnx), str(port)], {}


def _mlserver(onnx: Path, folder: Path, port: int, width: int) -> Command:
    place = folder / "mlserver"
    place.mkdir()
    shutil.copy(PEERS / "mlserver" / "onnx_model.py", place)
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0, "debug": False}
    (place / "settings.json").write_text(json.dumps(settings))
    (place / "model-settings.json").write_text(json.dumps({"name": "incident", "implementation": "onnx_model.OnnxModel"}))
    return [str(MLSERVER / "bin" / "mlserver"), "start", str(place)], {"PEER_ONNX": str(onnx)}


def _triton(onnx: Path, folder: Path, port: int, width: int) -> Command:
    model = folder / "triton" / "incident"
    (model / "1").mkdir(parents=True)
    shutil.copy(PEERS / "triton" / "model.py", model / "1" / "model.py")
    home = triton_binary().parents[1]
    stubs = home / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / "triton_python_backend_stub"
    backends = folder / "triton-backends"
    shutil.copytree(home / "backends", backends)
    shutil.copy(stubs, backends / "python" / stubs.name)
    (model / "config.pbtxt").write_text(
        'name: "incident"\nbackend: "python"\nmax_batch_size: 64\ndynamic_batching {}\n'
        f'input [{{ name: "x" data_type: TYPE_FP32 dims: [{width}] }}]\n'
        'output [{ name: "score" data_type: TYPE_FP32 dims: [1] }]\n'
        "instance_group [{ kind: KIND_CPU count: 1 }]\n"
    )
    site = next((ROOT / ".venv" / "lib").glob("python3*/site-packages"))
    command = [
        str(triton_binary()), f"--model-repository={model.parent}", f"--backend-directory={backends}", "--http-address=127.0.0.1",
        f"--http-port={port}", "--allow-grpc=false", "--allow-metrics=false", "--disable-auto-complete-config",
    ]  # fmt: skip
    libraries = [str(sysconfig.get_config_var("LIBDIR")), str(ROOT / ".venv" / "triton" / "nvidia_pytriton.libs")]
    return command, {"PEER_ONNX": str(onnx), "PEER_SITE": str(site), "LD_LIBRARY_PATH": ":".join(libraries)}


_COMMANDS: dict[str, Callable[[Path, Path, int, int], Command]] = {"KServe": _kserve, "bare ASGI": _bare, "MLServer": _mlserver, "Triton": _triton}


def _wait(process: "subprocess.Popen[bytes]", port: int, name: str, log: Path, seconds: float = 90) -> None:
    """Until the peer that we started is ready; one that ended (its port was somebody else's) is an error."""
    until = time.monotonic() + seconds
    url = f"http://127.0.0.1:{port}/v2/models/incident/ready"
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"{name} ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            if name == "bare ASGI":
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"{name} was not ready within {seconds:g} s:\n{log.read_text(errors='replace')[-2000:]}")


def wait_for(process: "subprocess.Popen[bytes]", port: int, seconds: float = 60) -> None:
    """Until the server that we started listens; one that ended (its port was somebody else's) is an error."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"The peer on port {port} ended with {process.returncode}.")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"The peer on port {port} did not listen within {seconds:g} s.")
