"""Data keys by Vault's transit engine, as whoever the environment says this process is.

Vault is asked only when a data key is made, unwrapped or wrapped anew: a release that is not sealed, or is refused before, never logs in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from presage.package.sealing import KeyWrapper

DEFAULT_KEY = "releases"


def keys_from_environment(environment: Mapping[str, str]) -> KeyWrapper | None:
    """The transit key PRESAGE_TRANSIT_KEY of the Vault at PRESAGE_VAULT_ADDRESS; None where no Vault is configured."""
    if not environment.get("PRESAGE_VAULT_ADDRESS"):
        return None
    return _TransitKeys(environment)


@dataclass(frozen=True)
class _TransitKeys:
    environment: Mapping[str, str]

    def data_key(self) -> tuple[bytes, str]:
        return self._transit.data_key()

    def unwrap(self, wrapped: str) -> bytes:
        return self._transit.unwrap(wrapped)

    def rewrap(self, wrapped: str) -> str:
        return self._transit.rewrap(wrapped)

    @cached_property
    def _transit(self) -> KeyWrapper:
        from presage.secrets.transit import Transit
        from presage.secrets.vault import VaultSettings, connect

        return Transit(connect(VaultSettings.from_environment(self.environment)), self.environment.get("PRESAGE_TRANSIT_KEY") or DEFAULT_KEY)
