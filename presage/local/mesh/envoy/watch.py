"""Waiting until an Envoy does what its documents say, or says why it does not."""

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path

from presage.errors import PlaneError
from presage.local.mesh.envoy.admin import Admin
from presage.local.mesh.envoy.documents import CLUSTERS, LISTENERS, Config
from presage.local.mesh.envoy.program import log_path

PERIOD = 0.02  # seconds between two looks
_STARTING = 5.0  # seconds
_FLUSHED = 1.0  # seconds after which a log surely holds what was written to it

_SEEN = r"(update_rejected|update_failure|version_text|warming_clusters|total_listeners_(active|warming)|workers_started)$"
_COMPLAINTS, _NO_COMPLAINTS = ("rejected", "error", "][critical]"), ("[envoy_bug]", "[backtrace]", "Caught ")
_ENTRY = re.compile(r"^\[\d{4}-[^\]]*\]", re.MULTILINE)  # an entry of the log begins with its time, and may have several lines
_PLACE = re.compile(r"^(\[[^\]]*\])+ (\[source/[^\]]*\] )?")
_LONGEST = 600  # characters of a complaint
_REFUSALS = ("update_rejected", "update_failure")


class Watch:
    """Begun before documents are written: what the Envoy refuses from then on is known from what it refused before.

        watch = await Watch.begin(folder)
        write_documents(folder, documents)
        await watch.until_live(documents, "routes", patience=10)
    """

    def __init__(self, folder: Path, refusals: Mapping[str, int], size: int) -> None:
        self._folder = folder
        self._refusals = refusals
        self._size = size

    @classmethod
    async def begin(cls, folder: Path) -> "Watch":
        """Raises OSError where no Envoy answers."""
        log = log_path(folder)
        async with Admin(folder) as admin:
            return cls(folder, _refusals(await admin.stats(_SEEN)), log.stat().st_size if log.exists() else 0)

    @classmethod
    def from_start(cls, folder: Path) -> "Watch":
        """Of an Envoy that may be starting: what it complains of at once counts, what an earlier one did long ago does not."""
        log = log_path(folder)
        earlier = log.stat().st_size if log.exists() and log.stat().st_mtime < time.time() - _STARTING else 0
        return cls(folder, {}, earlier)

    async def until_live(self, documents: Mapping[str, Config], what: str, patience: float, listeners: int | None = None) -> None:
        """Until each document is in force and nothing is on its way to be. listeners: how many there must be then.

        Raises PlaneError, with the Envoy's own words, where it refuses one, or `patience` seconds have passed.
        """
        until = time.monotonic() + patience
        while True:
            missing = ["its admin interface does not answer"]
            try:
                async with Admin(self._folder) as admin:
                    while time.monotonic() <= until:
                        stats = await admin.stats(_SEEN)
                        missing = [path for path, document in documents.items() if _outdated(path, document["version_info"], stats)]
                        if refused := self._refused(missing, stats):
                            words = await self._heard() or refused
                            raise PlaneError(f"Envoy {self._folder.name} does not take its {what}: {words}. What it did before it goes on doing.")
                        if not missing and _settled(stats, listeners):
                            return
                        await asyncio.sleep(PERIOD)
            except OSError:
                await asyncio.sleep(PERIOD)
            if time.monotonic() > until:
                waiting = self._words() or ", ".join(missing) or "something it needs (a certificate, an address) is not there"
                raise PlaneError(f"Envoy {self._folder.name} has not taken its {what} after {patience:g} s: {waiting}. Its log {self._log} says more.")

    @property
    def _log(self) -> str:
        return f"{self._folder.name}/{log_path(self._folder).name}"

    def _refused(self, missing: list[str], stats: Mapping[str, object]) -> str:
        """The statistic that tells of a refusal since the watch began, empty where there was none."""
        for name, count in _refusals(stats).items():
            if count > self._refusals.get(name, 0) and any(_is_about(path, name) for path in missing):
                return name
        return ""

    async def _heard(self) -> str:
        """The Envoy's last complaint; it writes its log a little later than it complains."""
        until = time.monotonic() + _FLUSHED
        while not (words := self._words()) and time.monotonic() < until:
            await asyncio.sleep(PERIOD)
        return words

    def _words(self) -> str:
        """The Envoy's last complaint since the watch began."""
        log = log_path(self._folder)
        if not log.exists():
            return ""
        with log.open("rb") as handle:
            handle.seek(self._size)
            entries = _ENTRY.split(handle.read().decode(errors="replace"))
        complaints = [entry for entry in entries if any(word in entry for word in _COMPLAINTS) and not any(word in entry for word in _NO_COMPLAINTS)]
        words = " ".join(_PLACE.sub("", complaints[-1]).split()) if complaints else ""
        return words if len(words) <= _LONGEST else f"{words[: _LONGEST // 4]} … {words[-_LONGEST * 3 // 4 :]}"


def _settled(stats: Mapping[str, object], listeners: int | None) -> bool:
    warming = stats.get("listener_manager.total_listeners_warming") or stats.get("cluster_manager.warming_clusters")
    if not stats.get("listener_manager.workers_started") or warming:
        return False
    return listeners is None or stats.get("listener_manager.total_listeners_active") == listeners + 1  # that of the metrics, too


def _outdated(path: str, version: str, stats: Mapping[str, object]) -> bool:
    """Whether the Envoy has not accepted that version of the document at `path`. One that nothing asks for yet is not waited for."""
    accepted = [value for name, value in stats.items() if name.endswith(".version_text") and _is_about(path, name)]
    return version not in accepted and (bool(accepted) or path in (LISTENERS, CLUSTERS))


def _is_about(path: str, stat: str) -> bool:
    """Whether a statistic is of the subscription to the document at `path`."""
    subscription = stat.rpartition(".")[0].replace("|", "_")
    if path in (LISTENERS, CLUSTERS):
        return subscription == ("listener_manager.lds" if path == LISTENERS else "cluster_manager.cds")
    kind, _, file = path.partition("/")
    name = file.removesuffix(".json")
    if kind == "routes":  # its statistics are those of the listener that asks for it
        return subscription.endswith(f".rds.{name}")
    return subscription == {"filters": "extension_config_discovery.http_filter", "secrets": "sds", "endpoints": "cluster"}[kind] + f".{name}"


def _refusals(stats: Mapping[str, object]) -> dict[str, int]:
    return {name: int(str(count)) for name, count in stats.items() if name.endswith(_REFUSALS)}
