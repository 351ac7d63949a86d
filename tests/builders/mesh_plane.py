"""A whole plane for tests: the local overlay as it is committed, on real processes, over a copy of the trained state.

    with RunningPlane.start(state, folder) as plane:
        plane.ask("/v2").status
        plane.apply(canary=plane.second_release(), percent=5)
"""

import http.client
import json
import shutil
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml
from builders.runs import SOURCE
from requests.adapters import HTTPAdapter

from demo import planted
from presage.files import read_json
from presage.governance.model_policy import ModelPolicy, load_model_policy
from presage.local import apply, down, status, up
from presage.local.record import PlaneRecord, read_record
from presage.local.tokens import TokenIssuer
from presage.package.keys import local_key
from presage.package.reference import Reference
from presage.package.store import ReleaseStore
from presage.secrets import openbao, pki
from presage.secrets.vault import open_client
from presage.state import State

ROOT = Path(__file__).parents[2]
VAULT = "vault.vault.svc"
_TABLES = {"rows": "featurize", "labels": "label", "folds": "split", "scores": "detect"}
PREDICT = ("POST", "/predict", json.dumps({"servers": ["app-01"], "explain": False}).encode())


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def version(self) -> str:
        """Which release answered a prediction."""
        return json.loads(self.body)["predictions"][0]["model"]["version"]


@dataclass
class RunningPlane:
    state: State
    manifests: Path
    clients: Path
    _made: dict[str, Path] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(cls, trained: Path, folder: Path, overlay: str = "local") -> "RunningPlane":
        shutil.copytree(trained, folder / "state")
        shutil.copytree(ROOT / "manifests", folder / "manifests")
        release = folder / "manifests" / "overlays" / "local" / "models-network" / "replicas.yaml"
        release.write_text(release.read_text().replace("maxReplicas: 2", "maxReplicas: 1"))  # tests/local/test_autoscaling.py is about more
        plane = cls(State.open(folder / "state"), folder / "manifests", folder / "clients")
        up(state=plane.state, manifests=plane.manifests, source=SOURCE, overlay=overlay)
        return plane

    @classmethod
    def follow(cls, trained: Path, folder: Path, repository: Path) -> "RunningPlane":
        """On branch main of a repository that holds policies/ and manifests/."""
        shutil.copytree(trained, folder / "state")
        plane = cls(State.open(folder / "state"), repository / "manifests", folder / "clients")
        up(state=plane.state, source=SOURCE, follow="main", repository=repository)
        return plane

    def __enter__(self) -> "RunningPlane":
        return self

    def __exit__(self, *_: object) -> None:
        down(self.state)

    @property
    def status(self):
        return status(self.state)

    @property
    def record(self) -> PlaneRecord:
        found = read_record(self.state.plane)
        assert found is not None
        return found

    @property
    def host(self) -> str:
        return self.status.endpoints.rest.removeprefix("https://").partition(":")[0]

    @property
    def door(self) -> tuple[str, int]:
        address, _, port = self.record.gateway.partition(":")
        return address, int(port)

    @property
    def vault(self):
        """With the plane's own rights."""
        root = openbao.read_keys(self.state.plane / "vault" / "keys.json").root_token
        address = read_json(self.state.plane / "hosts.json")[VAULT]
        client = open_client(f"https://{address}:8200", self.state.plane / "authority" / "ca.crt", root)
        client.session.mount("https://", _AsVault())
        return client

    def token(self, subject: str = "operators", audience: str = "presage", seconds: int = 600, issuer: str | None = None) -> str:
        rules = [found for found in json.loads((self.state.plane / "plan.json").read_bytes())["objects"] if found["kind"] == "RequestAuthentication"]
        named = issuer or rules[0]["spec"]["jwtRules"][0]["issuer"]
        return TokenIssuer.open(self.state.keys / "issuer.key").issue(named, subject, [audience], seconds)

    def certificate(self, account: str = "operators", namespace: str = "clients", ttl: str = "1h") -> Path:
        """A folder with tls.crt and tls.key of a client outside the mesh; made once for each account."""
        name = f"{namespace}-{account}-{ttl}"
        with self._lock:
            if name not in self._made:
                made = pki.issue(self.vault, "pki-edge", "client", uri_sans=[f"spiffe://cluster.local/ns/{namespace}/sa/{account}"], ttl=ttl)
                self._made[name] = self.keep(f"{name}-{made.serial[:8]}", made.certificate, made.private_key)
                (self._made[name] / "serial").write_text(made.serial)
            return self._made[name]

    def forget_certificates(self) -> None:
        """Those that were issued before a change of authority."""
        self._made.clear()

    def keep(self, name: str, certificate: str, key: str) -> Path:
        folder = self.clients / name
        folder.mkdir(parents=True)
        (folder / "tls.crt").write_text(certificate)
        (folder / "tls.key").write_text(key)
        return folder

    def connection(self, certificate: Path | None, authorities: Path | None = None) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=authorities or self.status.client.ca)
        if certificate is not None:
            both = certificate / "tls.pem"
            context.load_cert_chain(*([both] if both.exists() else [certificate / "tls.crt", certificate / "tls.key"]))
        return _Named(self.door, self.host, context)

    def ask(self, path: str = "/v2", method: str = "GET", body: bytes | None = None, *, account="operators", certificate=..., token=...) -> Answer:
        """One request on a connection of its own; ssl.SSLError or ConnectionError where the door does not open."""
        certificate = self.certificate(account) if certificate is ... else certificate
        token = self.token(account) if token is ... else token
        sent = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
        connection = self.connection(certificate)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def worse_release(self, how: planted.Kind = "scores", rows: planted.Labelled | None = None) -> str:
        """The first release's model, spoiled in one way. Its package is as well signed as any; its URI."""
        store, scratch = ReleaseStore(self.state.releases), self.state.root / "worse" / how
        return planted.worse(store, local_key(self.state.keys), self._policy, self._first(store), scratch=scratch, how=how, rows=rows).uri

    def labelled_rows(self, count: int = 400) -> tuple[planted.Labelled, list[str]]:
        """Rows that the simulated fleet had in training, a quarter of them with an incident to come, as the first release's model reads them; its inputs."""
        store = ReleaseStore(self.state.releases)
        names = planted.inputs_of(store, self._first(store))
        run = next(self.state.root.glob("runs/*/artifacts/*"))
        read = {name: pl.read_parquet(next(run.glob(f"{place}/**/{name}.parquet"))) for name, place in _TABLES.items()}
        table = read["rows"].join(read["labels"], on=["entity", "time"]).join(read["folds"], on=["entity", "time"]).join(read["scores"], on=["entity", "time"])
        table = table.filter(pl.col("label").is_not_null() & pl.col("part").is_in(["train", "select", "calibrate"])).unique(names, maintain_order=True)
        ill, well = (table.filter(pl.col("label") == label) for label in (1, 0))
        chosen = pl.concat([ill.sample(min(count // 4, ill.height), seed=1), well.sample(count * 3 // 4, seed=1)])
        return planted.Labelled(chosen.select(names).to_numpy().astype("float32"), chosen["label"].to_numpy() == 1), names

    def second_release(self) -> str:
        """Another release of the first one's packages, by a new version; its URI."""
        store = ReleaseStore(self.state.releases)
        return planted.another(store, local_key(self.state.keys), self._policy, self._first(store)).uri

    @staticmethod
    def _first(store: ReleaseStore) -> Reference:
        return store.pin(Reference("incident", store.versions("incident")[0], None))

    @property
    def _policy(self) -> ModelPolicy:
        return load_model_policy(self.state.root / "policy" / "incident.yaml")

    def set(self, *, stable: str | None = None, canary: str | None = None, percent: int = 5, shadow: str | None = None) -> None:
        """Write the overlay: the stable release (None: the local one), a canary beside it and a shadow (None: none)."""
        place = self.manifests / "overlays" / "local" / "models-network"
        committed = ROOT / "manifests" / "overlays" / "local" / "models-network"
        document = yaml.safe_load((committed / "kustomization.yaml").read_text())
        patches = document.setdefault("patches", [])
        if stable is not None:
            patches.append({"target": {"kind": "InferenceService", "name": "incident"}, "patch": _patch("/spec/predictor/model/storageUri", stable)})
        if canary is not None:  # the component is laid over the resources before these patches are
            document["components"] = ["../../../components/canary"]
            for path, value in (("/spec/canary/0/predictor/model/storageUri", canary), ("/spec/canary/0/trafficPercent", percent)):
                patches.append({"target": {"kind": "InferenceService", "name": "incident"}, "patch": _patch(path, value)})
        if shadow is not None:
            document.setdefault("components", []).append("../../../components/shadow")
            patches.append({"target": {"kind": "InferenceService", "name": "incident-shadow"}, "patch": _patch("/spec/predictor/model/storageUri", shadow)})
        (place / "kustomization.yaml").write_text(yaml.safe_dump(document))

    def apply(self, **written: object):
        self.set(**written)
        return apply(state=self.state, manifests=self.manifests)

    def eventually(self, holds, seconds: float = 60.0):
        until = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < until, "did not come true in time"
            time.sleep(0.05)
        return found


class _AsVault(HTTPAdapter):
    """Calls an address and checks its certificate for the name that manifests write: nothing of this process's own names is changed."""

    def init_poolmanager(self, *values, **options):
        super().init_poolmanager(*values, **options, server_hostname=VAULT, assert_hostname=VAULT)


class _Named(http.client.HTTPSConnection):
    """Connects to the gateway's address, asks for a host by its name."""

    def __init__(self, door: tuple[str, int], host: str, context: ssl.SSLContext) -> None:
        super().__init__(host, door[1], timeout=30, context=context)
        self._door = door

    def connect(self) -> None:
        plain = socket.create_connection(self._door, self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def _patch(path: str, value: object) -> str:
    return yaml.safe_dump([{"op": "replace", "path": path, "value": value}])

