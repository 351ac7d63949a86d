"""The policies of the repository beside its overlays: what rules about approvals look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from presage.manifests.verify.subjects import Overlay, Written

if TYPE_CHECKING:
    from presage.governance.repository import Policies


@dataclass(frozen=True)
class Named:
    """A release that an InferenceService of an overlay names. path: the field that does."""

    service: Written
    path: str
    uri: str

    @property
    def name(self) -> str:
        """`incident:7`."""
        return self.uri.removeprefix("presage://").partition("@")[0]

    @property
    def digest(self) -> str:
        """`sha256:…`; empty where it names none."""
        return self.uri.partition("@")[2] if "@sha256:" in self.uri else ""


@dataclass(frozen=True)
class Governed:
    """now: when approvals must be good."""

    policies: "Policies"
    overlays: list[Overlay]
    now: datetime

    @classmethod
    def beside(cls, home: Path, overlays: list[Overlay], now: datetime) -> "Governed | None":
        """None where the manifests have no risk tiers beside them. Raises InputError where a policy cannot be read."""
        if not (home.parent / "policies" / "risk-tiers.yaml").is_file():
            return None
        from presage.governance.repository import Policies

        return cls(Policies.read(home.parent), overlays, now)

    def named(self) -> Iterator[Named]:
        """Every release that is named by digest."""
        for overlay in self.overlays:
            for service in overlay.written_of("InferenceService"):
                predictor = service.spec.get("predictor") or {}
                places = [("spec.predictor.model.storageUri", predictor)]
                for at, entry in enumerate(service.spec.get("canary") or []):
                    places.append((f"spec.canary[{at}].predictor.model.storageUri", entry.get("predictor") or {}))
                for path, part in places:
                    uri = str((part.get("model") or {}).get("storageUri") or "")
                    if "@sha256:" in uri:
                        yield Named(service, path, uri)
