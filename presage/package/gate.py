"""The one door by which a release enters a Pod: a storage container that fetches, checks, opens, writes and ends.

    python -m presage.package.gate URI TARGET

Settings come from the environment, as KServe leaves a storage container no other way:

    PRESAGE_RELEASE_STORE     folder that holds an OCI layout, or s3://BUCKET[/PREFIX]
    PRESAGE_S3_…              the object store and the account there (presage.storage.s3)
    PRESAGE_VAULT_…           Vault, and whom the Pod is to it (presage.secrets); without them a sealed release is refused
    PRESAGE_TRANSIT_KEY       which transit key unwraps data keys; default: releases
    PRESAGE_TRUST_KEYS        folder of *.pub files: whose signatures count
    PRESAGE_APPROVALS         folder of rules.json and *.dsse.json: what a release above tier low needs, and what was signed
    PRESAGE_REVOCATIONS       a revocation list (optional)
    PRESAGE_ALLOW_LOCAL       1: `presage://NAME:local` is allowed (overlay local alone)
    PRESAGE_MODEL_SERVER      triton: lay out a Triton repository, too. The Pod's label says it (GPU family's runtime)
    PRESAGE_TERMINATION_LOG   where the sentence of a refusal is left for whoever looks at the Pod (optional)
    PRESAGE_HOSTS             names that only a cluster's DNS knows (presage.hosts; optional)

Plaintext goes into TARGET and nowhere else. A refusal is one sentence, exit code 1, and an empty target.
"""

import os
import shutil
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from presage import hosts
from presage.errors import ArtifactRefused, PresageError, StateError
from presage.package.approvals import Approvals
from presage.package.keys import Trust
from presage.package.layout import RELEASE, RELEASE_SIGNATURE
from presage.package.reference import parse_reference
from presage.package.release import Release
from presage.package.revocation import Revocations
from presage.package.sealing import KeyWrapper
from presage.package.store import ReleaseStore
from presage.package.transit_keys import keys_from_environment
from presage.package.triton import served_by_triton
from presage.package.verification import verify
from presage.storage.storage import StorageError

# group-readable: with a mesh the gate runs under another user than the server, in the Pod's group
_FILE_MODE, _FOLDER_MODE = 0o640, 0o750
_RELEASE_ENTRIES = {RELEASE, RELEASE_SIGNATURE, "packages", "triton"}


def admit(
    uri: str,
    target: Path,
    store: ReleaseStore,
    trust: Trust,
    *,
    keys: KeyWrapper | None = None,
    allow_local: bool = False,
    approvals: Approvals | None = None,
    revocations: Revocations | None = None,
    triton: bool = False,
) -> Release:
    """Fetch a release, run every step of the gate over it, then lay it out in `target` (kept itself: it may be a mount).

    keys: opens what is sealed. Whatever lay in `target` before is removed first. Raises ArtifactRefused, StorageError or StateError with
    `target` empty.
    """
    wipe(target)
    reference = parse_reference(uri, allow_local)
    if reference.local:
        reference = store.latest(reference.name)
    fetched = store.fetch(reference)
    release = verify(fetched.contents, trust, reference, revocations, approvals=approvals, sealed=fetched.sealed, keys=keys)
    contents = fetched.contents | _opened(release, fetched.sealed.files) | (_triton_repository(release) if triton else {})
    try:
        _write(target, contents)
    except OSError as error:
        wipe(target)
        raise StateError(f"{target}: the release cannot be written ({error.strerror}). Give the volume more room, then start again.") from None
    return release


def wipe(target: Path) -> None:
    """Make `target` an empty folder, without following links in it.

    Only what a release consists of is removed: a folder that holds something else was named by mistake, and is left alone.
    """
    try:
        target.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        entries = list(os.scandir(target))
        if foreign := sorted(entry.name for entry in entries if entry.name not in _RELEASE_ENTRIES):
            raise StateError(f"{target} holds {foreign[0]!r}, which is no part of a release. Give the gate a folder of its own.")
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
    except OSError as error:
        raise StateError(f"{target} cannot be emptied ({error.strerror}). Give the gate a folder of its own.") from None


def _write(target: Path, contents: Mapping[str, bytes]) -> None:
    for path, content in contents.items():
        place = target / path
        for folder in reversed(place.relative_to(target).parents[:-1]):
            (target / folder).mkdir(mode=_FOLDER_MODE, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE), "wb") as handle:
            handle.write(content)
            os.fsync(handle.fileno())


def _opened(release: Release, paths: Collection[str]) -> dict[str, bytes]:
    """Path → bytes of what was sealed, as it was verified."""
    files = {f"packages/{package.member.hex}/{name}": content for package in release.packages.values() for name, content in package.files.items()}
    return {path: files[path] for path in paths}


def _triton_repository(release: Release) -> dict[str, bytes]:
    """Path → bytes of a Triton model repository over the members that Triton runs."""
    repository = {}
    for package in (release.packages[member.id] for member in served_by_triton(release.document.members)):
        repository[f"triton/{package.model}/config.pbtxt"] = package.files["config.pbtxt"]
        repository[f"triton/{package.model}/1/model.onnx"] = package.onnx
    return repository


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """The program. Exit code 0 admitted, 1 refused, 2 wrong usage."""
    if len(arguments) != 2:
        print("python -m presage.package.gate takes a release and a folder: URI TARGET.", file=sys.stderr)
        return 2
    uri, target = arguments[0], Path(arguments[1])
    try:
        release = admit(
            uri,
            target,
            ReleaseStore.open(_setting(environment, "PRESAGE_RELEASE_STORE"), environment),
            Trust.open(Path(_setting(environment, "PRESAGE_TRUST_KEYS"))),
            keys=keys_from_environment(environment),
            allow_local=environment.get("PRESAGE_ALLOW_LOCAL") == "1",
            approvals=Approvals.open(Path(path)) if (path := environment.get("PRESAGE_APPROVALS")) else None,
            revocations=Revocations.open(Path(path)) if (path := environment.get("PRESAGE_REVOCATIONS")) else None,
            triton=environment.get("PRESAGE_MODEL_SERVER") == "triton",
        )
    except PresageError as error:
        _refuse(_reason(error), error.message, target, environment)
        return 1
    except Exception as error:  # a fault of ours closes the door, too
        _refuse("fault", f"a fault in the gate itself ({type(error).__name__}: {str(error)[:300]}). Please report it.", target, environment)
        return 1
    members = ", ".join(f"{role} {package.member.family}" for role, package in release.packages.items())
    print(f"{release.uri} is in {target}: {members}; signed by {release.key.owner} {release.key.id[:16]}")
    return 0


def _reason(error: PresageError) -> str:
    if isinstance(error, ArtifactRefused):
        return error.reason
    return "store" if isinstance(error, StorageError) else ""


def _refuse(reason: str, message: str, target: Path, environment: Mapping[str, str]) -> None:
    sentence = f"refused [{reason}]: {message}" if reason else f"refused: {message}"
    print(sentence, file=sys.stderr)
    try:
        if path := environment.get("PRESAGE_TERMINATION_LOG"):
            Path(path).write_text(sentence[:4096])
        wipe(target)
    except (OSError, StateError) as also:
        if str(also) != message:
            print(f"refused: {also}", file=sys.stderr)


def _setting(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise StateError(f"{name} is not set. Name the folder in the storage container's environment.")
    return value


if __name__ == "__main__":
    hosts.install()
    sys.exit(main(sys.argv[1:], os.environ))
