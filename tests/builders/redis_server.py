"""A real Redis for tests, stopped and started again at will.

    with RedisServer(folder) as server:                 # on a socket of its own, nothing but the owner reaches it
        RedisPlace.parse(server.url("unix"))
        server.kill(); server.start()
"""

import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from builders.ports import free_port

from presage.errors import StateError
from presage.redis import RedisLink, RedisPlace

PROGRAM = shutil.which("redis-server")


def require_redis() -> None:
    if PROGRAM is None:
        pytest.skip("redis-server is not here: `make tools` installs it (Debian: redis-server)")


class RedisServer:
    """lines: of its configuration, beside ports, socket and folder. tls: tls-port in place of port; certificates come with `lines`."""

    def __init__(self, folder: Path, *lines: str, tls: bool = False) -> None:
        require_redis()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder, self.port, self.tls = folder, free_port(), tls
        self.socket = Path(f"/tmp/presage-redis-{self.port}.sock")  # a socket's path has a hundred characters at most
        ports = [f"tls-port {self.port}", "port 0"] if tls else [f"port {self.port}"]
        settings = ["bind 127.0.0.1", *ports, f"unixsocket {self.socket}", "unixsocketperm 700", f"dir {folder}", 'save ""', "daemonize no", *lines]
        (folder / "redis.conf").write_text("\n".join(settings) + "\n")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resume()
        self.kill()
        self.socket.unlink(missing_ok=True)

    def url(self, kind: str = "redis", **options: object) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        place = f"unix://{self.socket}" if kind == "unix" else f"{kind}://127.0.0.1:{self.port}/0"
        return place + (f"?{query}" if query else "")

    def start(self) -> None:
        """Until it accepts connections and has loaded its data."""
        command = [str(PROGRAM), str(self.folder / "redis.conf")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        assert self.process.stdout is not None
        log: list[bytes] = []
        for line in self.process.stdout:
            log.append(line)
            if b"server is now ready to accept connections at" in line or b"Ready to accept connections unix" in line:
                break
        else:
            raise RuntimeError(b"".join(log).decode())
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """It goes on accepting connections and answers nothing, as a machine does that hangs."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def ask(self, *command: str | bytes | int) -> object:
        """As an administrator, over the socket."""
        link = RedisLink(RedisPlace.parse(self.url("unix")), seconds=5.0, patience=5.0)
        try:
            return link.ask(command)[0]
        finally:
            link.close()


def eventually(link_does, seconds: float = 10.0):
    """What `link_does` returns once it raises no StateError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return link_does()
        except StateError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
