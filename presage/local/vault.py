"""The plane's OpenBao, kept initialised, unsealed and configured; and what the plane itself asks of it.

    vault = PlaneVault(root, issuer, authority)
    vault.replace(objects, manifests)     where it is, and its configuration (manifests/vault)
    vault.attend()                        one look: whether it can be asked now; why not is in .trouble

A cluster's platform team does by hand and by `presage vault apply` what happens here at each start. Root token and unseal key lie in
`plane/vault/` (0600), and are good for this plane alone. A Vault that is no Service of the plane is neither initialised nor configured.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from presage.errors import PlaneError, PresageError
from presage.local.mesh.pods import spiffe_id
from presage.local.object_store import Accounts
from presage.local.pods import Pod
from presage.local.record import read_record
from presage.local.secrets import MADE_BY
from presage.local.tokens import TokenIssuer
from presage.manifests.objects import Manifest
from presage.state import State

if TYPE_CHECKING:
    import hvac

    from presage.secrets.transit import Transit

CLIENT_NAMESPACE, CLIENT_ACCOUNT = "clients", "operators"
MESH, EDGE = "pki-mesh", "pki-edge"
REVOCATIONS = "presage/clients/revocations"
HOST = "vault.vault.svc"
_INITIALISING = 60.0  # seconds; an answer that is not waited for takes the only unseal key with it


@dataclass
class PlaneVault:
    """authority: file of the CA that OpenBao's own certificate is checked against."""

    root: Path
    issuer: TokenIssuer
    authority: Path
    _address: str = ""
    _own: bool = False
    _folder: Path | None = None
    _domain: str = ""
    _seeds: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    _keeps_revocations: bool = False
    _configured: bool = False
    _client: "hvac.Client | None" = None
    trouble: str = ""

    @property
    def wanted(self) -> bool:
        """Whether the plan has a Vault at all."""
        return bool(self._address)

    @property
    def ready(self) -> bool:
        return self._configured and not self.trouble

    @property
    def keys_file(self) -> Path:
        return self.root / "plane" / "vault" / "keys.json"

    def replace(self, objects: list[Manifest], manifests: Path | None) -> None:
        """Other objects from now on; the configuration is applied at the next look."""
        made_by = [document for found in objects if found["kind"] == "Secret" and (document := _made_by(found))]
        self._address = next((str(document["connection"]["address"]) for document in made_by), "")
        host = self._address.partition("://")[2].partition(":")[0].split(".")
        self._own = any(found["kind"] == "Service" and [found["metadata"]["name"], found["metadata"].get("namespace")] == host[:2] for found in objects)
        folder = manifests / "vault" if manifests is not None else None
        self._folder = folder if folder is not None and (folder / "configuration.yaml").is_file() else None
        self._domain = next((domain for found in objects if found["kind"] == "Gateway" and (domain := _domain(found))), "")
        self._seeds = self._seeded(made_by) if self._own else {}
        self._keeps_revocations = self._own and any(document["spec"].get("path") == REVOCATIONS for document in made_by)
        self._configured = False

    def attend(self) -> bool:
        """Initialise, unseal, configure, as far as it is not done; whether it can be asked now. Never raises: `trouble` says what is wrong."""
        if not self.wanted:
            return False
        try:
            self._attend()
            self.trouble = ""
        except (PresageError, OSError) as error:
            self.trouble = str(error)
        return self.ready

    def certificate(self, pod: Pod) -> dict[str, bytes]:
        """A new identity for a Pod's proxy."""
        return self._issued(MESH, "workload", spiffe_id(pod.namespace, pod.service_account))

    def client_certificate(self) -> dict[str, bytes]:
        """For this machine's own commands, as a client outside the mesh."""
        return self._issued(EDGE, "client", spiffe_id(CLIENT_NAMESPACE, CLIENT_ACCOUNT))

    def revocations(self, mount: str) -> bytes:
        """The revocation lists of every authority of a PKI mount, PEM."""
        from presage.secrets.pki import crl

        return crl(self.client, mount).encode()

    def authorities(self, mount: str) -> bytes:
        """Every authority of a PKI mount that is trusted, PEM; the one that issues now first."""
        from presage.secrets.pki import bundle

        return bundle(self.client, mount).encode()

    def wrapper(self, key: str) -> "Transit":
        """The transit key that data keys of releases are wrapped with, used with the plane's own rights."""
        from presage.secrets.transit import Transit

        return Transit(self.client, key)

    def operator(self, namespace: str, name: str, made_by: str) -> tuple[Mapping[str, bytes], float]:
        """What Vault Secrets Operator would put into a Secret, read as the account that its VaultAuth names, and the seconds until it looks again."""
        from presage.secrets.operator import resolve
        from presage.secrets.vault import login, open_client

        document = orjson.loads(made_by)
        auth = document["auth"]
        token = self.issuer.service_account(document["namespace"], auth["serviceAccount"], auth["audiences"], 600)
        client = login(open_client(self._address, self.authority), auth["mount"], auth["role"], token, source=f"the token of {auth['serviceAccount']}")
        return resolve(document, client)

    @property
    def client(self) -> "hvac.Client":
        """With the plane's own rights. Raises PresageError before OpenBao was opened."""
        if self._client is None:
            raise PresageError(f"OpenBao at {self._address} is not open yet.")
        return self._client

    def _attend(self) -> None:
        from presage.secrets import openbao
        from presage.secrets.vault import open_client

        if not self._own:
            self._configured = True
            return
        if self._client is None:
            client = open_client(self._address, self.authority, timeout=_INITIALISING)
            openbao.initialise(client, self.keys_file)
            client.token = openbao.unseal(client, self.keys_file).root_token
            self._client = client
        elif not openbao.is_ready(self._client):
            openbao.unseal(self._client, self.keys_file)
        if not openbao.is_ready(self._client):
            raise PresageError(f"OpenBao at {self._address} is opened and not active yet.")
        if not self._configured:
            self._configure()
            self._configured = True

    def _configure(self) -> None:
        from presage.secrets.callers import begin
        from presage.secrets.changes import apply, compare
        from presage.secrets.configuration import read_configuration
        from presage.secrets.trust import JwtTrust

        if self._folder is not None:
            trust = JwtTrust.from_keys(self.root / "keys" / "issuer.jwks")
            apply(compare(self.client, read_configuration(self._folder), domain=self._domain, trust=trust))
        for path, data in self._seeds.items():
            self._seed(path, data)
        if self._keeps_revocations:
            begin(self.client, time.time())

    def _seed(self, path: str, data: Mapping[str, str]) -> None:
        """Write a secret where another one, or none, lies."""
        from presage.secrets.answers import explained

        with explained(f"write kv/{path}", self._address):
            self.client.secrets.kv.v2.create_or_update_secret(path, dict(data), mount_point="kv")

    def _seeded(self, made_by: list[dict[str, Any]]) -> dict[str, Mapping[str, str]]:
        """What this machine knows of the secrets that the plan reads: the object store's accounts, the local signing key."""
        accounts = Accounts.open(self.root / "plane" / "object-store")
        signing = self.root / "keys" / "local.key"
        seeds: dict[str, Mapping[str, str]] = {}
        for document in made_by:
            path = str(document["spec"].get("path", ""))
            if path.endswith("/release-storage"):
                seeds[path] = accounts.of("publisher" if "/pipelines/" in f"/{path}" else "serving")
            elif path.endswith("/release-signing") and signing.is_file():
                seeds[path] = {"key.pem": signing.read_text()}
        return seeds

    def _issued(self, mount: str, role: str, identity: str) -> dict[str, bytes]:
        from presage.secrets.pki import issue

        made = issue(self.client, mount, role, uri_sans=[identity])
        return {"tls.crt": made.certificate.encode(), "tls.key": made.private_key.encode()}


def plane_client(state: State) -> "hvac.Client":
    """The plane's own OpenBao with the plane's own rights, for a command beside it. Raises PlaneError where no plane runs here."""
    from presage.hosts import install
    from presage.secrets.openbao import read_keys
    from presage.secrets.vault import open_client

    keys, hosts = state.plane / "vault" / "keys.json", state.plane / "hosts.json"
    if read_record(state.plane) is None or not keys.is_file() or not hosts.is_file():
        raise PlaneError(f"no plane with a Vault runs in {state.root}. Start one (presage up), or say which Vault: --address https://HOST:PORT.")
    install(hosts)
    return open_client(f"https://{HOST}:8200", state.plane / "authority" / "ca.crt", read_keys(keys).root_token)


def _made_by(manifest: Manifest) -> dict[str, Any] | None:
    text = (manifest["metadata"].get("annotations") or {}).get(MADE_BY)
    return orjson.loads(text) if text else None


def _domain(gateway: Manifest) -> str:
    """The domain that a gateway answers for: `presage.local` of a listener for `*.presage.local`."""
    hosts = [str(listener.get("hostname", "")) for listener in gateway.get("spec", {}).get("listeners", [])]
    return next((host.removeprefix("*.") for host in hosts if host.startswith("*.")), "")
