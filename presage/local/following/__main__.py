"""python -m presage.local.following --state FOLDER [--attached PID]: follows until it is ended, or nothing is followed any more."""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from presage.errors import PresageError
from presage.local.children import end_with_parent
from presage.local.following.follower import Follower, OnEvent
from presage.local.following.record import following_path, lock_path, read_following
from presage.local.holds import held
from presage.state import State

EVERY = 0.25
"""Seconds between two looks: reading a branch costs some milliseconds."""
PATIENCE = 300
"""Seconds that one look may take. Then the kernel ends this process, whatever it hangs in, and the supervisor starts it again."""
_GIT = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 where nothing is followed any more."""
    parser = argparse.ArgumentParser(prog="presage.local.following")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--attached", type=int, help="end when this process, which started it, ends")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    if options.attached is not None:
        end_with_parent(signal.SIGKILL, options.attached)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]  # whoever started the plane from a hook named another repository by these
    os.environ.update(_GIT)
    state = State.open(options.state)
    try:
        with held(lock_path(state.plane), f"somebody follows a branch in {state.root} already."):
            return _follow(state)
    except PresageError as error:
        print(error.message, file=sys.stderr, flush=True)
        return 1


def _follow(state: State) -> int:
    following = read_following(state.plane)
    if following is None:
        return 0
    follower = Follower(state, following, _listener(state))
    while following_path(state.plane).is_file():
        began = time.monotonic()
        signal.alarm(PATIENCE)
        try:
            follower.look()
        except PresageError as error:
            print(error.message, file=sys.stderr, flush=True)
        except Exception:
            traceback.print_exc()  # a fault of ours in one look ends no following; the next one may be of a better commit
            time.sleep(1)
        time.sleep(max(0.05, EVERY - (time.monotonic() - began)))
    return 0


def _listener(state: State) -> OnEvent:
    """Everything goes into this process's log, and what an audit log keeps into the state's."""
    from presage.governance.audit import AuditLog
    from presage.governance.audit.entries import KINDS

    def hear(kind: str, subject: str, facts: Mapping[str, str]) -> None:
        at = datetime.now(UTC)
        print(f"{at:%Y-%m-%dT%H:%M:%SZ} {kind} {subject}: {facts.get('because') or facts.get('commit', '')}", flush=True)
        if kind in KINDS:
            try:
                AuditLog.open(state.root / "audit").append(kind, subject, dict(facts), at=at)
            except (PresageError, OSError) as error:
                print(f"not in the audit log: {error}", file=sys.stderr, flush=True)

    return hear


if __name__ == "__main__":
    sys.exit(main())
