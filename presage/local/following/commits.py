"""What a commit holds for the plane, read by Git's own plumbing: local edits are not seen."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from presage.errors import InputError
from presage.files import canonical_json, sha256_bytes, written_aside
from presage.release.repository import Repository

LARGEST = 10 << 20
"""Bytes of one application's YAML: Argo CD takes no more from a folder."""
KEPT = 3
"""Vault configurations that stay in the state directory: the plane's Vault is configured from the newest."""
_VAULT = "manifests/vault"


def rendered_at(repository: Repository, commit: str, overlay: str) -> dict[str, bytes]:
    """Application → YAML. Raises InputError where the commit has nothing rendered for the overlay, StateError where Git does not answer."""
    place = f"manifests/rendered/{overlay}"
    found = {}
    for path in repository.files(commit, place):
        application, _, name = path.removeprefix(f"{place}/").partition("/")
        if name == "manifest.yaml":
            content = repository.read(commit, path)
            if content is None or len(content) > LARGEST:
                raise InputError(f"{commit[:12]}: {path} is no file of at most {LARGEST >> 20} MiB. Commit what `presage manifests render` writes.")
            found[application] = content
    if not found:
        raise InputError(f"{commit[:12]} has nothing in {place}. Run `presage manifests render` and commit the result.")
    return found


def vault_at(repository: Repository, commit: str) -> dict[str, bytes]:
    """Vault's configuration, path below manifests/ → content; empty where the commit has none."""
    found = {}
    for path in repository.files(commit, _VAULT):
        if (content := repository.read(commit, path)) is not None:
            found[path.removeprefix("manifests/")] = content
    return found


def name_of(vault: Mapping[str, bytes]) -> str:
    """One configuration, one name: a commit that leaves it as it is changes nothing in the plan."""
    return sha256_bytes(canonical_json({path: sha256_bytes(content) for path, content in vault.items()}))[:32]


def vault_folder(plane: Path, name: str) -> Path:
    """Where the configuration of that name lies, as a manifests/ folder that holds vault/ alone."""
    return plane / "follow" / "vault" / name


def export_vault(plane: Path, vault: Mapping[str, bytes]) -> str:
    """Write it as files; its name. Older ones go. Raises InputError where the plane's Vault could not be configured from it."""
    from presage.secrets.configuration import read_configuration

    name = name_of(vault)
    place = vault_folder(plane, name)
    if not place.is_dir():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written_aside(place) as aside:
            aside.mkdir(mode=0o700)
            for path, content in vault.items():
                file = aside / path
                if ".." in file.parts:
                    raise InputError(f"{path!r} is no path of a configuration.")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            if (aside / "vault" / "configuration.yaml").is_file():
                read_configuration(aside / "vault")
    for old in sorted((one for one in place.parent.iterdir() if one.is_dir()), key=lambda one: one.stat().st_mtime)[:-KEPT]:
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return name
