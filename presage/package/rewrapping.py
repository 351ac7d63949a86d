"""After a rotation of the transit key: data keys wrapped anew, no file encrypted anew, nothing that was approved changed.

When every release of a store is wrapped by the new version, the old one can be shut off (transit's min_decryption_version), and with it
every copy of the old wrapping.
"""

from dataclasses import dataclass

import msgspec

from presage.errors import InputError
from presage.package import oci
from presage.package.fetching import RELEASE_TYPE, read_sealing
from presage.package.oci import Descriptor
from presage.package.publishing import put_sealing
from presage.package.sealing import SEALING_TYPE, KeyWrapper, Sealing
from presage.package.store import ROLE, ReleaseStore, replace_annotations


@dataclass(frozen=True)
class Rewrapped:
    """release: `NAME:VERSION`; before, after: version of the transit key; equal: it was the newest already, and nothing was written."""

    release: str
    before: int
    after: int


def rewrap(store: ReleaseStore, keys: KeyWrapper, release: str | None = None) -> list[Rewrapped]:
    """Wrap the data keys of `release` (`NAME:VERSION`; None: of every sealed release) by the newest version of the transit key.

    Raises InputError where `release` is not there or not sealed, StorageError, SecretsError; the store is changed in one step or not at all.
    """

    def enter(entries: list[Descriptor]) -> list[Rewrapped]:
        done = []
        for number, entry in enumerate(entries):
            name = entry.annotations.get(oci.REF_NAME, "")
            if entry.artifact_type != RELEASE_TYPE or release not in (None, name):
                continue
            if found := _rewrapped(store, keys, entry, name):
                entries[number], one = found
                done.append(one)
            elif release is not None:
                raise InputError(f"{store}: {name} is not sealed, so there is nothing to wrap anew. Publish it with --seal.")
        if release is not None and not done:
            raise InputError(f"{store} holds no release called {release[:100]!r}. Write NAME:VERSION; `presage release show` says what there is.")
        return done

    return store.layout.update(enter)


def _rewrapped(store: ReleaseStore, keys: KeyWrapper, entry: Descriptor, name: str) -> tuple[Descriptor, Rewrapped] | None:
    """The entry with its data key wrapped anew; None where the release is not sealed."""
    index = store.layout.read_index(entry)
    place = next((number for number, descriptor in enumerate(index.manifests) if descriptor.artifact_type == SEALING_TYPE), None)
    if place is None:
        return None
    before = read_sealing(store.layout, store.layout.read_manifest(index.manifests[place]))
    after = Sealing(keys.rewrap(before.wrapped))
    if after.key_version == before.key_version:
        return entry, Rewrapped(name, before.key_version, before.key_version)
    manifests = list(index.manifests)
    manifests[place] = replace_annotations(put_sealing(store, after), {ROLE: "sealing"})
    stored = store.layout.put_document(msgspec.structs.replace(index, manifests=manifests), oci.INDEX)
    return replace_annotations(stored, entry.annotations), Rewrapped(name, before.key_version, after.key_version)
