"""The Triton that the package nvidia-pytriton brings along (`make install` puts it beside the environment): its python backend alone.

Its parts lie in several places; `Bundle.lay_out` links them into the folder that Triton expects.
"""

import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from presage.errors import PlaneError

STUB = "triton_python_backend_stub"
SITE = "PRESAGE_SITE"


@dataclass(frozen=True)
class Bundle:
    """folder: what the package was installed into."""

    folder: Path

    @classmethod
    def find(cls, folder: Path | None = None) -> "Bundle":
        """That of this environment. Raises PlaneError where there is none for this system or interpreter."""
        bundle = cls(folder or Path(sys.prefix) / "triton")
        missing = [path for path in (bundle.program, bundle.stub) if not path.is_file()]
        if missing:
            raise PlaneError(f"{missing[0]} is not there, so no Triton runs on this machine. `make install` brings it (Linux x86-64, Python 3.11 to 3.13).")
        return bundle

    @property
    def _server(self) -> Path:
        return self.folder / "pytriton" / "tritonserver"

    @property
    def program(self) -> Path:
        return self._server / "bin" / "tritonserver"

    @property
    def stub(self) -> Path:
        """The process that holds a python model, for this interpreter's version."""
        return self._server / "python_backend_stubs" / f"{sys.version_info.major}.{sys.version_info.minor}" / STUB

    def lay_out(self, folder: Path) -> Path:
        """A new backend directory under `folder`, of links."""
        python = folder / "backends" / "python"
        python.mkdir(mode=0o700, parents=True)
        for part in (self._server / "backends" / "python").iterdir():
            (python / part.name).symlink_to(part)
        (python / STUB).symlink_to(self.stub)
        return folder / "backends"

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """`given`, and what server and stub need: this interpreter's library before any other, and where our packages are."""
        libraries = [sysconfig.get_config_var("LIBDIR"), str(self.folder / "nvidia_pytriton.libs"), given.get("LD_LIBRARY_PATH", "")]
        return {**given, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)), SITE: sysconfig.get_path("purelib")}
