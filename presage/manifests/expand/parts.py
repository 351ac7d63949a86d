"""The objects that custom resources are expanded with: runtimes, storage containers, KServe's settings, accounts, Vault's auths and connections."""

from dataclasses import dataclass, field
from functools import cached_property

from presage.manifests.expand.refusals import NotExpanded
from presage.manifests.expand.settings import Settings, find_settings, read_settings
from presage.manifests.expand.storage import StorageContainer, read_storage_container
from presage.manifests.objects import Manifest


@dataclass
class Parts:
    """Read when first asked for, so that a broken one is reported by what uses it."""

    objects: list[Manifest]
    _by_kind: dict[str, list[Manifest]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for found in self.objects:
            self._by_kind.setdefault(found["kind"], []).append(found)

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """The objects of these kinds, in their order."""
        return [found for kind in kinds for found in self._by_kind.get(kind, [])]

    def named(self, kind: str, namespace: str | None, name: str) -> Manifest | None:
        """One object by kind and name."""
        for found in self._by_kind.get(kind, []):
            if (found["metadata"].get("namespace"), found["metadata"]["name"]) == (namespace, name):
                return found
        return None

    @cached_property
    def settings(self) -> Settings | None:
        """KServe's own settings; None where no object holds them. Raises FieldError."""
        found = find_settings(self.of_kind("ConfigMap"))
        return None if found is None else read_settings(found)

    @cached_property
    def runtimes(self) -> list[Manifest]:
        return self.of_kind("ServingRuntime", "ClusterServingRuntime")

    @cached_property
    def storage_containers(self) -> list[StorageContainer]:
        """Raises FieldError."""
        return [read_storage_container(found) for found in self.of_kind("ClusterStorageContainer")]

    def check_account(self, place: str, path: str, namespace: str | None, name: str | None) -> None:
        """Raise NotExpanded where KServe would give the storage container credentials because of the ServiceAccount."""
        account = self.named("ServiceAccount", namespace, name or "default")
        if account is not None and account.get("secrets"):
            why = f"is {name or 'default'}, whose `secrets` KServe would give to the storage container. Mount them there, and take them off the account."
            raise NotExpanded(place, f"{path}.serviceAccountName", why)
