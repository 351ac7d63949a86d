"""A contract out of a file, or out of a release as it lies in a store (contracts are never sealed)."""

from pathlib import Path

from presage.errors import ArtifactRefused, InputError
from presage.package.contract import Contract
from presage.package.fetching import FILE_PATH
from presage.package.layout import PACKAGE_FILES
from presage.package.reference import Reference
from presage.package.store import ROLE, ReleaseStore


def read_contract(path: Path) -> Contract:
    """A contract.json that a person named. Raises InputError."""
    kind = PACKAGE_FILES["contract.json"]
    try:
        with path.open("rb") as handle:
            content = handle.read(kind.limit + 1)
    except OSError as error:
        raise InputError(f"{path}: the contract cannot be read ({error.strerror}). Name another file, or a release.") from None
    if len(content) > kind.limit:
        raise InputError(f"{path} has more than {kind.limit} bytes, the most that a package may hold. Name another file.")
    try:
        kind.check(content)
    except ValueError as error:
        raise InputError(f"{path} is no contract: {error}. Give another file.") from None
    try:
        return Contract.from_json(content)
    except ArtifactRefused as refused:
        raise InputError(f"{path}: {refused.message.removeprefix('contract.json ').replace('Package the model again.', 'Mend the contract.')}") from None


def released_contract(store: ReleaseStore, reference: Reference) -> Contract:
    """The contract of a release's primary; whose signature counts is not asked. Raises ArtifactRefused where the store has no such release."""
    pinned = store.pin(reference)
    index = store.layout.read_index(store.entry(pinned, store.layout.top().manifests))
    for descriptor in index.manifests:
        if descriptor.annotations.get(ROLE) == "primary":
            for layer in store.layout.read_manifest(descriptor).layers:
                if layer.annotations.get(FILE_PATH) == "contract.json":
                    return Contract.from_json(store.layout.read(layer, PACKAGE_FILES["contract.json"].limit))
    raise ArtifactRefused("contract", f"{store}: {pinned} comes without a contract. Publish it again.")


def previous_contract(store: ReleaseStore, name: str, before: int | None = None) -> Contract | None:
    """The contract of the last release of a name (of the last before version `before`); None where there is none."""
    versions = [version for version in store.versions(name) if before is None or version < before]
    return released_contract(store, Reference(name, versions[-1], None)) if versions else None
