"""An Envoy's admin interface, spoken to over the socket in its folder."""

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presage.local.mesh.envoy.documents import ADMIN_SOCKET

if TYPE_CHECKING:
    import httpx2


class Admin:
    """One conversation: `async with Admin(folder) as admin: await admin.stats("listener")`. Raises OSError where no Envoy answers."""

    def __init__(self, folder: Path) -> None:
        import httpx2

        # A socket's path may have 107 bytes, a state directory's more: the folder is named by a descriptor instead.
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        # No TLS is spoken here: an empty context spares reading the system's authorities.
        empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx2.AsyncHTTPTransport(uds=f"/proc/self/fd/{self._descriptor}/{ADMIN_SOCKET}", verify=empty)
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://envoy", timeout=5)

    async def __aenter__(self) -> "Admin":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        os.close(self._descriptor)

    async def stats(self, expression: str) -> dict[str, Any]:
        """Counters, gauges and texts whose names match the regular expression."""
        found = (await self._ask("GET", "/stats", filter=expression, format="json")).json()
        return {entry["name"]: entry["value"] for entry in found["stats"] if "name" in entry}

    async def serials(self) -> frozenset[int]:
        """Of all certificates in use: shown, and trusted."""
        found = (await self._ask("GET", "/certs")).json()
        chains = [chain for certificate in found["certificates"] for kind in ("cert_chain", "ca_cert") for chain in certificate.get(kind, [])]
        return frozenset(int(chain["serial_number"], 16) for chain in chains)

    async def post(self, path: str) -> None:
        await self._ask("POST", path)

    async def _ask(self, method: str, path: str, **query: str) -> "httpx2.Response":
        import httpx2

        try:
            answer = await self._client.request(method, path, params=query or None)
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise OSError(f"Envoy's admin interface does not answer ({str(error) or type(error).__name__})") from None
        return answer
