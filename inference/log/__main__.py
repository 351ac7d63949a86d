"""`python -m inference.log COMMAND …`: what `presage log` and `presage replay` start, as processes of their own.

One JSON document on stdout (of `items` one a line and file). A failure is one sentence, on stderr or to the descriptor that `--words` names, and an exit code.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from inference.log.classes import read_classes
from inference.log.folder import require_log
from inference.log.subjects import Subjects, open_subjects
from presage import hosts
from presage.errors import PresageError, UsageError


def _replay(options: argparse.Namespace) -> Any:
    from inference.log.replay import ready, replay, require_members_here, verified
    from presage.package.keys import Trust
    from presage.package.store import ReleaseStore
    from presage.package.transit_keys import keys_from_environment

    store = ReleaseStore.open(options.store, os.environ)
    release = ready(verified(options.release, store, Trust.open(options.trust), keys_from_environment(os.environ)))
    require_members_here(release)
    period = {"since": options.since, "until": options.until}
    return _with_subjects(options, lambda subjects: replay(
        options.log, release, subjects, **period, rung=options.rung, shadows=options.shadows, most=options.most,
    ))  # fmt: skip


def _show(options: argparse.Namespace) -> Any:
    from inference.log.show import show

    return _with_subjects(options, lambda subjects: show(options.log, options.prediction_id, subjects))


def _query(options: argparse.Namespace) -> Any:
    from inference.log.query import query

    return query(options.log, options.sql, options.most, options.since, options.until)


def _erase(options: argparse.Namespace) -> Any:
    from inference.log.erase import erase

    with open_subjects(options.subject_keys, os.environ) as subjects:
        return erase(options.log, options.subject, subjects, time.time(), dry_run=options.dry_run)


def _sync(options: argparse.Namespace) -> Any:
    kind, _, place = options.to.partition(":")
    if kind == "parquet" and place:
        from inference.log.parquet_copy import copy_parquet

        return copy_parquet(options.log, Path(place))
    if kind == "iceberg" and place:
        from inference.log.iceberg import sync_iceberg

        return sync_iceberg(options.log, place, options.warehouse, os.environ)
    raise UsageError(f"--to {options.to[:200]!r} names no warehouse. Write parquet:FOLDER or iceberg:CATALOGUE, such as iceberg:sqlite:////FILE.")


def _aggregate(options: argparse.Namespace) -> Any:
    from inference.log.aggregate import aggregate

    policy = read_classes(options.data_classes).aggregates
    return aggregate(options.log, options.by, options.epsilon, policy, since=options.since, until=options.until, now=time.time())


def _items(options: argparse.Namespace) -> Any:
    from inference.log.items import items

    return items(options.log)


def _with_subjects(options: argparse.Namespace, work: Callable[[Subjects | None], Any]) -> Any:
    """The key store is opened where the policy encrypts, or a file of keys is there already: a reader makes none."""
    from inference.log.subjects import FILE

    named = options.subject_keys or (Path(given) if (given := os.environ.get(FILE)) else None)
    if named is None:
        from presage.state import State

        named = State.open().keys / "subjects.db"
    if not named.exists():
        return work(None)
    with open_subjects(named, os.environ) as subjects:
        return work(subjects)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.log", description="Read, replay and copy the prediction log.", allow_abbrev=False)
    parser.add_argument("--words", type=int, metavar="DESCRIPTOR", help="where the sentence of a failure goes; default: stderr")
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Any]) -> Callable[..., Any]:
        one = commands.add_parser(name, allow_abbrev=False)
        one.set_defaults(run=run)
        one.add_argument("--log", type=Path, required=True)
        one.add_argument("--subject-keys", type=Path)
        return one.add_argument

    def period(add: Callable[..., Any], *, required: bool = False) -> None:
        add("--since", type=date.fromisoformat, required=required)
        add("--until", type=date.fromisoformat, required=required)

    add = command("replay", _replay)
    for name in ("release", "store"):
        add(f"--{name}", required=True)
    add("--trust", type=Path, required=True)
    add("--rung")
    add("--shadows", action="store_true")
    add("--most", type=int, default=20)
    period(add)
    add = command("show", _show)
    add("--prediction-id", required=True)
    add = command("query", _query)
    add("--sql", required=True)
    add("--most", type=int, default=100)
    period(add)
    add = command("erase", _erase)
    add("--subject", required=True)
    add("--dry-run", action="store_true")
    add = command("sync", _sync)
    add("--to", required=True)
    add("--warehouse")
    command("items", _items)
    add = command("aggregate", _aggregate)
    add("--by", choices=("tier", "rung", "day"), required=True)
    add("--epsilon", type=float, required=True)
    add("--data-classes", type=Path)
    period(add, required=True)
    return parser


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    with ExitStack() as closing:
        words = sys.stderr if options.words is None else closing.enter_context(os.fdopen(options.words, "w"))
        try:
            require_log(options.log)
            found = options.run(options)
            for document in found if isinstance(found, Iterator) else (found,):
                print(msgspec.json.encode(document).decode())
            sys.stdout.flush()
        except PresageError as error:
            print(error.message, file=words)
            return error.exit_code
        except BrokenPipeError:
            return 141
        except OSError as error:
            print(f"{error.filename or options.log}: {(error.strerror or str(error)).lower()}. Look at its place, and run the command again.", file=words)
            return 1
    return 0


if __name__ == "__main__":
    hosts.install()
    sys.exit(main(sys.argv[1:]))
