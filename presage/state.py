"""The one directory that holds everything presage keeps (`--state`, default `.presage/`, mode 0700).

    .presage/
      runs/<run id>/          result.json, report.html, artifacts of the pipeline's steps
      cache/                  the pipeline orchestrator's own cache
      releases/               an OCI image layout: packages and releases, content-addressed
      batch/<job>/            what batch scoring has done of a job: its journal and its chunks
      predictions/            the prediction log
      keys/                   the local signing key (0600) and its public half; trusted only here, at tier low
      retention/              the deletion that is under way, and every document of terms that something was deleted by
      mlflow/                 the run and model registry (SQLite) and its artifacts
      plane/                  the laptop plane: plane.json, pods/<pod>/…, volumes/<claim>/…, logs/
      logs/                   faults.log: traces of faults of presage itself
"""

import os
from dataclasses import dataclass
from pathlib import Path

from presage.errors import StateError

_FOLDERS = ("batch", "predictions", "runs", "cache", "releases", "keys", "mlflow", "plane", "logs")


@dataclass(frozen=True)
class State:
    """Where everything lies. Build it with `State.open`, which makes and checks the directory."""

    root: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> "State":
        """The state directory at `path`, else `$PRESAGE_STATE`, else `.presage/` here; made with mode 0700.

        Raises StateError where it cannot be made, belongs to somebody else, or is a folder that others read and other things lie in:
        taking it over would shut others out of it.
        """
        root = Path(path or os.environ.get("PRESAGE_STATE") or ".presage").absolute()
        if bad := next((mark for mark in str(root) if mark == "?" or not mark.isprintable()), None):
            raise StateError(f"{root} cannot hold the state: {bad!r} in its name cannot be written in a database's address. Name another folder with --state.")
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = root.stat()
            if status.st_uid != os.getuid():
                raise StateError(f"{root} belongs to user {status.st_uid}, not to you ({os.getuid()}). Name another folder with --state.")
            if status.st_mode & 0o077:
                if foreign := sorted(found.name for found in root.iterdir() if found.name not in _FOLDERS):
                    raise StateError(f"{root} holds {foreign[0]!r}, which is not presage's. Name a folder of its own with --state, like {root / '.presage'}.")
                root.chmod(0o700)
        except OSError as error:
            raise StateError(f"{root} cannot hold the state: {error.strerror}. Name a folder of yours with --state.") from error
        return cls(root)

    def _folder(self, *names: str) -> Path:
        folder = self.root.joinpath(*names)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{folder} cannot be made: {error.strerror}. Name a folder that can be written to with --state.") from error
        return folder

    @property
    def runs(self) -> Path:
        return self._folder("runs")

    @property
    def cache(self) -> Path:
        return self._folder("cache")

    @property
    def releases(self) -> Path:
        return self._folder("releases")

    @property
    def keys(self) -> Path:
        return self._folder("keys")

    @property
    def mlflow(self) -> Path:
        return self._folder("mlflow")

    @property
    def plane(self) -> Path:
        return self._folder("plane")
