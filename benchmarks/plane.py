"""What the mesh costs a request: the request path asked at its own address, through its sidecar, and through the gateway, in turn.

    presage up --detach
    python benchmarks/plane.py [--state FOLDER]

One connection, the same prediction of one server, rounds in turn; p50 and its ratio to the plain one. Every answer is checked.
"""

import argparse
import http.client
import json
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path

from requests.adapters import HTTPAdapter

from presage.files import read_json
from presage.local.overview import status
from presage.local.record import read_record
from presage.predictions import known_servers
from presage.secrets import openbao, pki
from presage.secrets.vault import open_client
from presage.state import State

ROUNDS, REQUESTS = 5, 300
VAULT = "vault.vault.svc"
CALLER = {"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/clients/sa/operators"}  # whose limit lets a benchmark through


class _AsVault(HTTPAdapter):
    def init_poolmanager(self, *values: object, **options: object) -> None:
        super().init_poolmanager(*values, **options, server_hostname=VAULT, assert_hostname=VAULT)


def doors(state: State, folder: Path) -> dict[str, tuple[http.client.HTTPConnection, dict[str, str]]]:
    """A connection and the headers for each way in."""
    record, plane = read_record(state.plane), status(state)
    path = next(process for process in record.processes if process.serves)
    host = plane.endpoints.rest.removeprefix("https://").partition(":")[0]
    address, _, port = record.gateway.partition(":")
    edge = ssl.create_default_context(cafile=plane.client.ca)
    edge.load_cert_chain(plane.client.certificate, plane.client.key)
    token = {"authorization": f"Bearer {Path(plane.client.token).read_text()}"}
    return {
        "the path alone, plain": (http.client.HTTPConnection(path.inner, path.ports["http"]), dict(CALLER)),
        "its sidecar, mutual TLS": (http.client.HTTPSConnection(path.address, path.ports["http"], context=_mesh(state, folder)), dict(CALLER)),
        "gateway and sidecar, certificate, token, rules, limit": (_Gateway(address, int(port), host, edge), {"host": f"{host}:{port}", **token}),
    }


class _Gateway(http.client.HTTPSConnection):
    """Connects to an address, asks for a host."""

    def __init__(self, address: str, port: int, host: str, context: ssl.SSLContext) -> None:
        super().__init__(address, port, context=context)
        self._host = host

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._host)


def _mesh(state: State, folder: Path) -> ssl.SSLContext:
    """As the gateway, which hands on who asked."""
    client = open_client(
        f"https://{read_json(state.plane / 'hosts.json')[VAULT]}:8200", state.plane / "authority" / "ca.crt",
        openbao.read_keys(state.plane / "vault" / "keys.json").root_token,
    )  # fmt: skip
    client.session.mount("https://", _AsVault())
    made = pki.issue(client, "pki-mesh", "workload", uri_sans=["spiffe://cluster.local/ns/gateway/sa/presage-istio"], ttl="1h")
    for name, text in (("tls.crt", made.certificate), ("tls.key", made.private_key), ("ca.crt", pki.bundle(client, "pki-mesh"))):
        (folder / name).write_text(text)
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.check_hostname = False  # a workload is known by its SPIFFE id
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def ask(connection: http.client.HTTPConnection, headers: dict[str, str], body: bytes) -> float:
    """Seconds of one answered prediction."""
    began = time.perf_counter()
    connection.request("POST", "/predict", body, {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    content = answer.read()
    took = time.perf_counter() - began
    if answer.status != 200 or len(json.loads(content)["predictions"]) != 1:
        sys.exit(f"not a prediction: {answer.status} {content[:200]!r}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path)
    state = State.open(parser.parse_args().state)
    body = json.dumps({"servers": known_servers(state=state)[:1], "explain": False}).encode()
    with tempfile.TemporaryDirectory() as folder:
        ways = doors(state, Path(folder))
        medians: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, (connection, headers) in ways.items():
                medians[name].append(statistics.median(ask(connection, headers, body) for _ in range(REQUESTS)))
    plain = statistics.median(next(iter(medians.values())))
    for name, times in medians.items():
        middle, least, most = (value * 1000 for value in (statistics.median(times), min(times), max(times)))
        print(f"{middle:6.2f} ms p50 ({least:.2f}–{most:.2f})  {middle / plain / 1000:4.2f} x  {name}")


if __name__ == "__main__":
    main()
