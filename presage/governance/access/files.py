"""Compiled files in the repository: which are not current, and writing them. The generated folders hold nothing else."""

from collections.abc import Mapping
from pathlib import Path

from presage.files import write_bytes
from presage.governance.access.compiling import MANIFESTS, VAULT


def stale_files(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Files that are missing or differ, and files of the generated folders that the policy no longer gives. root: the repository."""
    differing = {root / name for name, text in files.items() if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text}
    there = {path for folder in (MANIFESTS, VAULT) for path in (root / folder).rglob("*") if path.is_file()}
    return sorted(differing | (there - {root / name for name in files}))


def write_files(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Make the repository hold exactly these files. The paths that changed."""
    changed = stale_files(root, files)
    for path in changed:
        text = files.get(str(path.relative_to(root)))
        if text is None:
            path.unlink()
        else:
            write_bytes(path, text.encode())
            path.chmod(0o644)
    return changed
