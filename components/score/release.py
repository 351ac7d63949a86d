"""A release out of the store, through every step of the gate, into memory: nothing of it is written down, sealed or not."""

import os
from collections.abc import Mapping
from pathlib import Path

from presage.package.keys import Trust
from presage.package.reference import parse_reference
from presage.package.release import Release
from presage.package.revocation import Revocations
from presage.package.store import ReleaseStore
from presage.package.transit_keys import keys_from_environment
from presage.package.verification import verify
from presage.state import State


def admitted(uri: str, state: State, environment: Mapping[str, str] = os.environ) -> Release:
    """The verified release. The environment may name what a gate's names: PRESAGE_RELEASE_STORE and PRESAGE_TRUST_KEYS (default: the
    state's own, where `presage://NAME:local` is allowed too), PRESAGE_REVOCATIONS, PRESAGE_ALLOW_LOCAL, and Vault's account.

    Raises ArtifactRefused, StorageError.
    """
    address = environment.get("PRESAGE_RELEASE_STORE")
    store = ReleaseStore.open(address, environment) if address else ReleaseStore(state.releases)
    trust = Trust.open(Path(environment.get("PRESAGE_TRUST_KEYS") or state.keys))
    reference = parse_reference(uri, allow_local=not address or environment.get("PRESAGE_ALLOW_LOCAL") == "1")
    if reference.local:
        reference = store.latest(reference.name)
    revocations = Revocations.open(Path(path)) if (path := environment.get("PRESAGE_REVOCATIONS")) else None
    fetched = store.fetch(reference)
    return verify(fetched.contents, trust, reference, revocations, sealed=fetched.sealed, keys=keys_from_environment(environment))
