"""The plane's Secrets: what each holds, where it comes from, and when it changes.

    plane.presage/certificate   issued by the plane's own authority: what must speak TLS before OpenBao can issue
    plane.presage/files         files of the state directory (a glob)
    presage.io/made-by          what Vault Secrets Operator would make: read from OpenBao as the account that the VaultAuth names
    data, stringData            as written

Held in memory; Pods get copies on a memory file system (presage.local.volumes).
"""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from presage.errors import PresageError
from presage.local.authority import Authority
from presage.local.volumes import FILES, annotation
from presage.manifests.objects import Manifest, label

CERTIFICATE, MADE_BY = "plane.presage/certificate", "presage.io/made-by"
_AGAIN, _OFTEN = 1.0, 10.0  # seconds: after a failure; between looks where a source names no time of its own
_RENEW = 86400.0  # the authority's certificates live a month

Operator = Callable[[str, str, str], tuple[Mapping[str, bytes], float]]


@dataclass
class _Held:
    manifest: Manifest
    data: Mapping[str, bytes] | None = None
    due: float = 0.0
    trouble: str = ""


@dataclass
class Secrets:
    """operator: resolves a Secret that Vault fills (namespace, name, the annotation's text) into its data and the seconds until it wants renewal."""

    root: Path
    authority: Authority
    operator: Operator
    _held: dict[tuple[str, str], _Held] = field(default_factory=dict)

    def replace(self, objects: list[Manifest]) -> None:
        """The Secrets among `objects` from now on. One whose source did not change keeps what it holds."""
        before, self._held = self._held, {}
        for manifest in objects:
            if manifest["kind"] != "Secret":
                continue
            key = (manifest["metadata"].get("namespace", "default"), manifest["metadata"]["name"])
            kept = before.get(key)
            self._held[key] = kept if kept is not None and kept.manifest == manifest else _Held(manifest)

    def data(self, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """What a Secret holds; None while its source could not be read."""
        held = self._held.get((namespace, name))
        return None if held is None else held.data

    @property
    def trouble(self) -> str:
        """Which Secrets are not there, and why, in words."""
        missing = [f"{label(held.manifest)}: {held.trouble}" for held in self._held.values() if held.trouble]
        return "; ".join(missing)

    def tend(self, now: float | None = None, vault: bool = True) -> bool:
        """Read every source that is due; whether any holds something else than before. vault: whether OpenBao can be asked.

        One that cannot be read keeps what it held, and is asked again soon.
        """
        now, changed = time.time() if now is None else now, False
        for (namespace, name), held in self._held.items():
            made_by = _annotated(held.manifest, MADE_BY)
            if now < held.due or (made_by and not vault):
                continue
            try:
                data, seconds = self.operator(namespace, name, made_by) if made_by else self._own(held.manifest)
                held.due, held.trouble = now + seconds, ""
            except (PresageError, OSError) as error:
                held.due, held.trouble = now + _AGAIN, str(error)
                continue
            if data != held.data:
                held.data, changed = data, True
        return changed

    def hurry(self) -> None:
        """Ask every source again at the next look (a rotation, a changed access)."""
        for held in self._held.values():
            held.due = 0.0

    def _own(self, manifest: Manifest) -> tuple[Mapping[str, bytes], float]:
        if names := _annotated(manifest, CERTIFICATE):
            return self.authority.issue([name.strip() for name in names.split(",")]), _RENEW
        data = {str(key): base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
        data |= {str(key): str(value).encode() for key, value in (manifest.get("stringData") or {}).items()}
        pattern = annotation(manifest, FILES)
        for path in sorted(self.root.glob(pattern)) if pattern else []:
            data[path.name] = path.read_bytes()
        return data, _OFTEN


def _annotated(manifest: Manifest, name: str) -> str:
    return str((manifest["metadata"].get("annotations") or {}).get(name, ""))
