"""Names that only a cluster's DNS knows, for programs that run without one.

`PRESAGE_HOSTS` names a JSON file {name: address}; `install()` makes this process look names up there first and ask the system for all
others. The file is read again when it changes. Without the variable nothing is changed.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presage.files import read_json

VARIABLE = "PRESAGE_HOSTS"
_system = socket.getaddrinfo


class Hosts:
    """One such file, as it is now. What cannot be read is as good as empty: the system is asked then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._names: Mapping[str, str] = {}

    def address(self, name: str) -> str | None:
        """The address of `name`, None where the file does not know it."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                found = read_json(self._path)
                self._names, self._stamp = (found if isinstance(found, dict) else {}), stamp
        except (OSError, ValueError):
            return None
        return self._names.get(name.rstrip(".").lower())


def install(path: str | os.PathLike[str] | None = None) -> None:
    """Look names up in the file at `path`, else in `$PRESAGE_HOSTS`, from now on in this whole process."""
    named = path or os.environ.get(VARIABLE)
    if not named:
        return
    hosts = Hosts(Path(named))

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        return _system(hosts.address(name) or host if isinstance(name, str) else host, *rest, **options)

    socket.getaddrinfo = getaddrinfo


def uninstall() -> None:
    """Ask the system alone again."""
    socket.getaddrinfo = _system
