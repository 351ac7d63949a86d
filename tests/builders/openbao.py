"""A real OpenBao for tests: raft storage in a temporary folder, TLS by a throwaway authority, ready in under two seconds.

    @pytest.fixture(scope="session")
    def openbao(tmp_path_factory):
        with OpenBao.started(tmp_path_factory.mktemp("openbao")) as server:
            yield server                                # server.address, server.ca, server.root()

    server.client()            no token           server.settings(namespace, account, token_file)     as a Pod would ask
    server.seal(), .unseal()   as an operator     server.stop(), .start()                             the same data again

    server.configure()         applies manifests/vault to it, trusting server.issuer, which stands for the cluster's API server
    server.audited()           what it recorded of the requests since the last call
"""

import json
import os
import queue
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hvac

from presage.local.authority import Authority
from presage.local.tokens import TokenIssuer
from presage.secrets import changes, openbao
from presage.secrets.configuration import read_configuration
from presage.secrets.trust import JwtTrust
from presage.secrets.vault import VaultSettings, open_client

MANIFESTS = Path(__file__).parents[2] / "manifests" / "vault"
DOMAIN = "presage.local"


@dataclass
class OpenBao:
    """One server in `folder`."""

    folder: Path
    port: int
    issuer: TokenIssuer
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)
    _log: "queue.Queue[str | None]" = field(default_factory=queue.Queue, repr=False)

    @classmethod
    @contextmanager
    def started(cls, folder: Path, raft: bool = True) -> Iterator["OpenBao"]:
        """Running, initialised, unsealed; gone afterwards. raft: False: in memory, which saves the second that a node takes to elect itself."""
        port, cluster_port = _free_ports()
        authority = Authority.open(folder / "authority")
        for name, content in authority.issue(["vault.vault.svc"], ["127.0.0.1"]).items():
            (folder / name).write_bytes(content)
        (folder / "raft").mkdir()
        text = openbao.server_configuration(folder / "raft", "127.0.0.1", port, folder / "tls.crt", folder / "tls.key", cluster_port=cluster_port)
        (folder / "server.hcl").write_text(text if raft else re.sub(r'storage "raft" \{[^}]*\}', 'storage "inmem" {}', text))
        server = cls(folder, port, TokenIssuer.open(folder / "issuer.key"))
        try:
            server.start()
            yield server
        finally:
            server.kill()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def keys_file(self) -> Path:
        return self.folder / "keys.json"

    def start(self, unseal: bool = True) -> None:
        """Until it answers; with `unseal`, until it does what it is asked."""
        command = [*openbao.program(), "server", f"-config={self.folder / 'server.hcl'}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        self._log = queue.Queue()
        threading.Thread(target=_drain, args=(self._process.stdout, self._log), daemon=True).start()
        self._read_log_until("OpenBao server started!")
        if unseal:
            self.unseal()

    def unseal(self) -> None:
        client = self.client()
        openbao.initialise(client, self.keys_file)
        openbao.unseal(client, self.keys_file)
        deadline = time.monotonic() + 30
        while not openbao.is_ready(client):  # a single node elects itself first
            assert time.monotonic() < deadline, "OpenBao never led"

    def configure(self, folder: Path = MANIFESTS, domain: str = DOMAIN) -> None:
        """As `presage vault apply --confirm` does."""
        trust = JwtTrust(public_keys=(self.issuer.public_pem,))
        changes.apply(changes.compare(self.root(), read_configuration(folder), domain=domain, trust=trust))

    def audited(self) -> list[dict]:
        """Requests and answers, in order; values are hashed by OpenBao. A request of our own marks where to stop reading."""
        mark = os.urandom(8).hex()
        self.client().adapter.get(f"/v1/kv/data/{mark}", raise_exception=False)
        found: list[dict] = []
        while (line := self._log.get(timeout=30)) is not None:
            if line.startswith("{"):
                record = json.loads(line)
                if mark in record.get("request", {}).get("path", ""):
                    break
                found.append(record)
        return found

    def seal(self) -> None:
        self.root().sys.seal()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
        self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def client(self, token: str = "") -> hvac.Client:
        return open_client(self.address, self.ca, token)

    def root(self) -> hvac.Client:
        """With every right: what an operator's own token can."""
        return self.client(openbao.read_keys(self.keys_file).root_token)

    def settings(self, namespace: str, account: str, token_file: Path, role: str | None = None, **token) -> VaultSettings:
        """A Pod's settings, its service account token written to `token_file`. token: audiences, seconds."""
        token_file.write_text(self.token(namespace, account, **token))
        return VaultSettings(self.address, role or f"{namespace}.{account}", token_file, self.ca)

    def token(self, namespace: str, account: str, audiences: tuple[str, ...] = ("vault",), seconds: int = 600) -> str:
        return self.issuer.service_account(namespace, account, audiences, seconds)

    def _read_log_until(self, words: str) -> None:
        """The server's own log says when it is so far; a server that ends instead fails the test with its last lines."""
        seen: list[str] = []
        while (line := self._log.get(timeout=30)) is not None:
            seen.append(line)
            if words in line:
                return
        raise AssertionError(f"OpenBao ended before {words!r}:\n{''.join(seen[-20:])}")


def _drain(stream, log: "queue.Queue[str | None]") -> None:
    """A pipe that nobody reads fills up and stops the server."""
    for line in stream:
        log.put(line)
    log.put(None)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
