"""Releases of this state directory, put into the plane's object store where Pods look for them: sealed, as a pipeline publishes them in a cluster.

Overlay local says `presage://incident:local`; the plan binds it to a release by digest; before the Pod's gate asks for that, it is here.
So is any release that a Pod names by digest and this state directory holds (a canary's). What it does not hold is left to whoever publishes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presage.errors import PresageError
from presage.files import write_bytes
from presage.local.object_store import Accounts
from presage.local.pods import Pod
from presage.local.vault import PlaneVault
from presage.manifests.objects import Manifest

if TYPE_CHECKING:
    from presage.storage.s3 import Bucket

_STORE = "PRESAGE_RELEASE_STORE"


@dataclass
class Publishing:
    """root: the state directory, whose `releases/` is published from."""

    root: Path
    vault: PlaneVault
    _wanted: frozenset[str] = frozenset()
    _settings: Mapping[str, str] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    trouble: str = ""

    def replace(self, bindings: Mapping[str, str], objects: list[Manifest]) -> None:
        """Other releases from now on. Where no Pod reads from an object store nothing is published."""
        self._settings = next((found for manifest in objects if (found := _store_settings(manifest))), {})
        named = {uri for manifest in objects for uri in _named(manifest) if self._held_here(uri)}
        self._wanted = frozenset({*bindings.values(), *named}) if self._settings else frozenset()

    def waits(self, pod: Pod) -> str | None:
        """What a Pod that loads one of them waits for."""
        if pod.release in self._wanted and pod.release not in self._done:
            return f"{pod.release} is not in the object store yet{f' ({self.trouble})' if self.trouble else ''}"
        return None

    def tend(self) -> None:
        """Publish what is not there. Never raises: `trouble` says what is wrong, and the next look tries again."""
        for uri in sorted(self._wanted - self._done):
            try:
                self._publish(uri)
                self._done.add(uri)
                self.trouble = ""
            except (PresageError, OSError) as error:
                self.trouble = f"publishing {uri}: {error}"

    def _held_here(self, uri: str) -> bool:
        from presage.package.reference import parse_reference
        from presage.package.store import ReleaseStore

        try:
            reference = parse_reference(uri)
            return ReleaseStore(self.root / "releases").pin(reference).digest == reference.digest
        except PresageError:
            return False

    def _publish(self, uri: str) -> None:
        from presage.package.keys import Trust
        from presage.package.publishing import publish
        from presage.package.reference import parse_reference
        from presage.package.store import ReleaseStore

        target = self._bucket()
        keys = self.vault.wrapper(self._settings.get("PRESAGE_TRANSIT_KEY") or "releases")
        releases = ReleaseStore(self.root / "releases")
        publish(parse_reference(uri), releases, ReleaseStore(target), keys, trust=Trust.open(self.root / "keys"), approving=False)  # the gate asks

    def _bucket(self) -> "Bucket":
        """The store's bucket, as its administrator; made where it is not there."""
        from presage.storage.address import open_storage
        from presage.storage.s3 import Bucket
        from presage.storage.storage import Unreadable

        folder = self.root / "plane" / "object-store" / "admin"
        for name, value in Accounts.open(folder.parent).of("admin").items():
            write_bytes(folder / name, value.encode())
        settings = {**self._settings, "PRESAGE_S3_CREDENTIALS": str(folder), "PRESAGE_S3_CA": str(self.root / "plane" / "authority" / "ca.crt")}
        found = open_storage(self._settings[_STORE], settings)
        assert isinstance(found, Bucket)
        try:
            found.current("index.json", 64 << 20)
        except Unreadable:
            found.write("", b"")  # a PUT of the bucket itself
        return found


def _store_settings(manifest: Manifest) -> Mapping[str, str]:
    """The gate's settings of an object store, among a Deployment's init containers."""
    for container in _init_containers(manifest):
        values = {str(variable["name"]): str(variable.get("value", "")) for variable in container.get("env", [])}
        if values.get(_STORE, "").startswith("s3://"):
            return values
    return {}


def _named(manifest: Manifest) -> list[str]:
    """The releases that a Deployment's init containers are asked for."""
    return [str(word) for container in _init_containers(manifest) for word in container.get("args", []) if str(word).startswith("presage://")]


def _init_containers(manifest: Manifest) -> list[dict[str, Any]]:
    return list(manifest["spec"]["template"]["spec"].get("initContainers", [])) if manifest["kind"] == "Deployment" else []
