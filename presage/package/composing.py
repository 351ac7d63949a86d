"""Composing a release from packages that lie in a store already, each by its model's name or its digest.

    compose_release("incident", {"primary": "incident", "simpler": "sha256:0f…"}, store, policy, key, trust=trust)

Whoever signs a release vouches for its packages, so each is read and checked here as the gate will check it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import orjson

from presage.contracts.reading import previous_contract
from presage.contracts.successor import check_successor
from presage.errors import ArtifactRefused, InputError
from presage.files import sha256_bytes
from presage.governance.model_policy import ModelPolicy
from presage.package import oci
from presage.package.fetching import FILE_PATH, MODEL, package_digest
from presage.package.keys import SigningKey, Trust
from presage.package.layout import PACKAGE_FILES, SIGNATURE, check_format
from presage.package.oci import DOCUMENT_LIMIT, Descriptor, Index, Manifest
from presage.package.release import compose, member_id
from presage.package.sealing import is_sealed
from presage.package.signing import SIGNATURE_FILE, check_files, verify_bundle
from presage.package.store import Published, ReleaseStore, StoredPackage, replace_annotations
from presage.package.verification import check_same_contract

PACKAGE_TYPE = "application/vnd.presage.package.v1+json"
_PREFIX = "models/"


@dataclass(frozen=True)
class Candidate:
    """A package as it lies in a store, unread but for its name. digest: `sha256:<hex>`; signatures: manifests that refer to it."""

    model: str
    digest: str
    stored: Descriptor
    manifest: Manifest
    signatures: tuple[Descriptor, ...]


def keep(store: ReleaseStore, package: StoredPackage) -> None:
    """Name a package in the store's index, so that it can be found before a release holds it."""
    entry = store.layout.put_document(Index([package.manifest, package.signature], PACKAGE_TYPE), oci.INDEX)
    named = replace_annotations(entry, {oci.REF_NAME: f"{_PREFIX}{package.model}:{package.manifest.hex[:12]}"})

    def enter(entries: list[Descriptor]) -> None:
        entries[:] = [there for there in entries if there.annotations != named.annotations] + [named]

    store.layout.update(enter)


def packages(store: ReleaseStore) -> list[Candidate]:
    """Every package that the store's index leads to, the newest last."""
    found: dict[str, Candidate] = {}
    for entry in store.layout.top().manifests:
        if entry.media_type == oci.INDEX:
            for candidate in _candidates(store, store.layout.read_index(entry)):
                known = found.pop(candidate.digest, None)
                signatures = {one.digest: one for one in (*(known.signatures if known else ()), *candidate.signatures)}
                found[candidate.digest] = replace(candidate, signatures=tuple(signatures.values()))
    return list(found.values())


def find(store: ReleaseStore, named: str, trust: Trust) -> StoredPackage:
    """The newest package whose model is called `named`, or the one with that digest (12 hex digits are enough).

    Raises InputError where there is none, ArtifactRefused where it is not what a trusted key signed.
    """
    known = packages(store)
    digest = named if named.startswith("sha256:") else ""
    matching = [one for one in known if (one.digest.startswith(digest) and len(digest) >= len("sha256:") + 12 if digest else one.model == named)]
    if not matching:
        names = ", ".join(sorted({one.model for one in known})) or "none"
        raise InputError(f"{store} holds no package called {named[:100]!r} (it has: {names}). Name one of them, or import the model first.")
    return _read(store, matching[-1], trust)


def compose_release(
    name: str,
    members: Mapping[str, str],
    store: ReleaseStore,
    policy: ModelPolicy,
    key: SigningKey,
    *,
    trust: Trust,
    default: float | None = None,
    least: int = 1,
) -> Published:
    """Compose, sign and store the next version of `name` (`least` at the lowest); the same members again are the same release.

    members: role → model name or package digest, `primary` among them; several of an ensemble as `ensemble/<anything>`. default: the risk
    of last resort; None: the primary's prevalence, from its metrics. Raises InputError, and ArtifactRefused where the gate would refuse what this would make.
    """
    found: dict[str, StoredPackage] = {}
    for role, named in members.items():
        package = find(store, named, trust)
        found[member_id("ensemble", package.model) if role.startswith("ensemble") else role] = package
    if len(found) != len(members) or len({one.digest for one in found.values()}) != len(found) or len({one.model for one in found.values()}) != len(found):
        raise InputError(f"{name}: one model is named for two roles. Name another for each role.")
    draft = compose(name, found, policy, _prevalence(store, found["primary"]) if default is None else default)
    check_same_contract({role: one.contract for role, one in found.items()})
    if (before := previous_contract(store, name)) is not None:
        check_successor(before, found["primary"].contract, f"{name} in {store}")
    if draft.tier != "low" and key.public.local:
        raise ArtifactRefused("approval", f"{name} has tier {draft.tier}, and the local key signs tier low only. Sign it with a release key: --key FILE.")
    return store.publish(draft, found, key, least=least)


def _candidates(store: ReleaseStore, index: Index) -> Iterator[Candidate]:
    signatures: dict[str, list[Descriptor]] = {}
    models: list[tuple[Descriptor, Manifest]] = []
    for descriptor in index.manifests:
        if descriptor.artifact_type not in (MODEL, SIGNATURE.media_type):
            continue
        manifest = store.layout.read_manifest(descriptor)
        if manifest.artifact_type == MODEL:
            models.append((descriptor, manifest))
        elif manifest.subject is not None:
            signatures.setdefault(manifest.subject.digest, []).append(replace_annotations(descriptor, {}))
    for descriptor, manifest in models:
        digest = f"sha256:{package_digest(descriptor, manifest)}"
        model = _model_name(store, manifest)
        yield Candidate(model, digest, replace_annotations(descriptor, {}), manifest, tuple(signatures.get(digest, ())))


def _model_name(store: ReleaseStore, manifest: Manifest) -> str:
    try:
        return str(orjson.loads(store.layout.read(manifest.config, DOCUMENT_LIMIT))["descriptor"]["name"])
    except (ValueError, KeyError, TypeError):
        return ""


def _read(store: ReleaseStore, candidate: Candidate, trust: Trust) -> StoredPackage:
    what = f"{candidate.model} {candidate.digest[:19]}…"
    if any(is_sealed(layer) for layer in candidate.manifest.layers):
        raise InputError(f"{what} is sealed in {store}, and composing reads packages. Compose where they lie in the clear, then publish.")
    files: dict[str, bytes] = {}
    for layer in candidate.manifest.layers:
        name = layer.annotations.get(FILE_PATH, "")
        if name not in PACKAGE_FILES or name in files:
            raise ArtifactRefused("format", f"{what} holds {name[:100]!r}, which no package may hold so. Package the model again.")
        files[name] = store.layout.read(layer, PACKAGE_FILES[name].limit)
        check_format(f"packages/{candidate.stored.hex}/{name}", files[name])
    signature, bundle = _trusted_signature(store, candidate, trust)
    _, listed = verify_bundle(bundle, candidate.model, trust)
    check_files(candidate.model, listed, {name: sha256_bytes(content) for name, content in files.items()})
    return StoredPackage.of(candidate.model, {**files, SIGNATURE_FILE: bundle}, candidate.stored, signature)


def _trusted_signature(store: ReleaseStore, candidate: Candidate, trust: Trust) -> tuple[Descriptor, bytes]:
    """The newest signature by a trusted key. Raises ArtifactRefused("signature") where there is none."""
    refused = ArtifactRefused("signature", f"{candidate.model} {candidate.digest[:19]}… comes without a signature. Package the model again.")
    for descriptor in reversed(candidate.signatures):
        for layer in store.layout.read_manifest(descriptor).layers:
            bundle = store.layout.read(layer, SIGNATURE.limit)
            try:
                verify_bundle(bundle, candidate.model, trust)
            except ArtifactRefused as error:
                refused = error
            else:
                return descriptor, bundle
    raise refused


def _prevalence(store: ReleaseStore, primary: StoredPackage) -> float:
    for layer in store.layout.read_manifest(primary.manifest).layers:
        if layer.annotations.get(FILE_PATH) == "metrics.json":
            value = orjson.loads(store.layout.read(layer, PACKAGE_FILES["metrics.json"].limit)).get("prevalence")
            if isinstance(value, int | float) and 0 <= value <= 1:
                return float(value)
    raise InputError(f"the metrics of {primary.model} name no prevalence, so nothing says what the risk is when no model answers. Give --default-risk.")
