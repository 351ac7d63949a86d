"""A real SeaweedFS for tests: TLS by a throwaway authority, two accounts, one bucket, ready in about a second.

    with ObjectStore.launched(folder) as server:      # on its way
        server.wait()                                 # ready, with its bucket
        store = ReleaseStore.open("s3://releases", server.environment("publisher"))

    server.environment("serving")     may read alone
    server.stop(), .start()           the same data again
"""

import queue
import socket
import ssl
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import httpx2

from presage.local.authority import Authority
from presage.local.object_store import BUCKET, Accounts
from presage.storage.signature import Credentials, signed_headers


@dataclass
class ObjectStore:
    """One server in `folder`. under: a program that starts it."""

    folder: Path
    port: int
    accounts: Accounts
    under: tuple[str, ...] = ()
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    _log: "queue.Queue[str | None]" = field(default_factory=queue.Queue, repr=False)

    @classmethod
    @contextmanager
    def launched(cls, folder: Path, *under: str) -> Iterator["ObjectStore"]:
        """A process that has begun to start; gone afterwards."""
        authority = Authority.open(folder / "authority")
        for name, content in authority.issue(["s3.object-store.svc"], ["127.0.0.1"]).items():
            (folder / name).write_bytes(content)
        accounts = Accounts.open(folder / "accounts")
        for name, keys in accounts.keys.items():
            (folder / name).mkdir()
            for part, text in keys.items():
                (folder / name / part).write_text(text + "\n")
        server = cls(folder, _free_ports(1)[0], accounts, under)
        try:
            server.launch()
            yield server
        finally:
            server.kill()

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    def environment(self, account: str) -> dict[str, str]:
        """What a program needs to ask as `account`: publisher, serving or admin."""
        return {
            "PRESAGE_S3_ENDPOINT": self.endpoint, "PRESAGE_S3_REGION": "eu-central-1",
            "PRESAGE_S3_CREDENTIALS": str(self.folder / account), "PRESAGE_S3_CA": str(self.ca),
        }  # fmt: skip

    def launch(self) -> None:
        plain, master, volume, filer, admin, *grpc = _free_ports(10)
        command = [
            *self.under, str(Path(sysconfig.get_path("scripts")) / "weed"), "-logtostderr=true", "mini", f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-disableHttp=true", "-master.telemetry=false", "-admin.ui=false", "-webdav=false",
            f"-master.port={master}", f"-master.port.grpc={grpc[0]}", f"-volume.port={volume}", f"-volume.port.grpc={grpc[1]}",
            f"-filer.port={filer}", f"-filer.port.grpc={grpc[2]}", f"-filer.localSocket={self.folder / 'filer.sock'}",
            f"-admin.port={admin}", f"-admin.port.grpc={grpc[3]}", f"-s3.port={plain}", f"-s3.port.grpc={grpc[4]}",
            "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self.folder / 'accounts' / 's3.json'}",
            "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
            f"-s3.port.https={self.port}", f"-s3.cert.file={self.folder / 'tls.crt'}", f"-s3.key.file={self.folder / 'tls.key'}",
        ]  # fmt: skip
        (self.folder / "data").mkdir(exist_ok=True)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self._log = queue.Queue()
        threading.Thread(target=_drain, args=(self._process.stdout, self._log), daemon=True).start()

    def wait(self) -> None:
        """Until it says that all of it is ready, and its bucket is there."""
        self._read_log_until_ready()
        self.make_bucket(BUCKET)

    def start(self) -> None:
        """After `stop`: the same data again."""
        self.launch()
        self._read_log_until_ready()

    def _read_log_until_ready(self) -> None:
        seen: list[str] = []
        while (line := self._log.get(timeout=60)) is not None:
            seen.append(line)
            if "Press Ctrl+C to stop" in line:
                return
        raise AssertionError(f"SeaweedFS ended at once:\n{''.join(seen[-20:])}")

    def stop(self) -> None:
        """As an operator does: what was acknowledged is there at the next start."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
        self._process = None

    def kill(self) -> None:
        """At once: for the end of the tests."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def make_bucket(self, name: str) -> None:
        path, host, keys = f"/{name}", f"127.0.0.1:{self.port}", self.accounts.of("admin")
        credentials = Credentials(keys["access_key"], keys["secret_key"])
        headers = signed_headers("PUT", path, {"host": host}, sha256(b"").hexdigest(), credentials=credentials, region="eu-central-1", now=datetime.now(UTC))
        answer = httpx2.put(self.endpoint + path, headers=headers, verify=ssl.create_default_context(cafile=self.ca), trust_env=False)
        assert answer.status_code == 200, answer.text


def _drain(stream, log: "queue.Queue[str | None]") -> None:
    """A pipe that nobody reads fills up and stops the server."""
    for line in stream:
        log.put(line)
    log.put(None)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
