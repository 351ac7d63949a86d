"""`python -m pipelines`: run a pipeline here, submit it, or compile it.

    python -m pipelines incident-training --source simulated --state .presage -o json
    python -m pipelines incident-training --endpoint http://127.0.0.1:8888
    python -m pipelines compile [--check]

Progress goes to stderr. With `-o json` stdout's last line is the document that docs/schemas/run.json describes.
"""

import argparse
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from pipelines.catalogue import PIPELINES, find_pipeline
from pipelines.request import Request, ScoringRequest
from presage.cli.failures import explain, told
from presage.errors import UsageError

ROOT = Path(__file__).parent.parent
SCORING = ("batch-scoring", "row-scoring")
_ENDING = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 a finding or a refused input, 2 wrong usage, 130 interrupted."""
    for number in _ENDING:
        signal.signal(number, _interrupt)
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--starter", type=int)  # a pipe that whoever started us reads: the sentence of a failure goes there
    known, rest = first.parse_known_args(arguments)
    starter: int | None = known.starter
    if starter is not None:
        threading.Thread(target=_end_with, args=(starter,), daemon=True).start()
    try:
        if starter is not None:
            find_pipeline(rest[0])  # who starts a run by name means a pipeline, and no other command of this program
        options = _parser().parse_args(rest)
        return int(options.do(options))
    except KeyboardInterrupt:
        print("Interrupted. Finished steps are kept: the same command goes on from there.", file=sys.stderr)
        return 130
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if starter is None:
            return explain(error)
        code, sentence = told(error)
        os.write(starter, sentence.encode())
        return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in _ENDING:
        signal.signal(one, _ending_already)  # a terminal and whoever started us may both ask: the run is ended once, in peace
    raise KeyboardInterrupt


def _ending_already(number: int, frame: FrameType | None) -> None:
    """A handler of our own: Python complains where a pending signal finds SIG_IGN."""


def _end_with(starter: int) -> None:
    """Whoever started us reads this pipe as long as it lives; without it the run ends as by Ctrl-C."""
    gone = select.poll()
    gone.register(starter, select.POLLERR)
    gone.poll()
    os.kill(os.getpid(), signal.SIGTERM)


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one sentence, like every other failure."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}. `{self.prog} --help` says what is possible.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m pipelines", description="Run, submit or compile a pipeline.")
    commands = parser.add_subparsers(required=True, metavar="NAME")
    for listed in PIPELINES:
        command = commands.add_parser(listed.name, help=f"run {listed.name} here, or submit it")
        command.add_argument("--source", default="simulated", metavar="SPEC", help="telemetry: simulated[:…], parquet:PATH, csv:PATH")
        command.add_argument("--state", type=Path, metavar="FOLDER", help="default: $PRESAGE_STATE, else .presage")
        command.add_argument("--policy", type=Path, default=ROOT / "policies" / "models" / "incident.yaml", metavar="FILE")
        command.add_argument("--view", type=Path, default=ROOT / "feature_store" / "views" / "server_windows.yaml", metavar="FILE")
        command.add_argument("--families", default="", metavar="A,B", help="model families to train; default: all")
        command.add_argument("--seed", type=int, default=7)
        command.add_argument("--threads", type=int, default=1, help="a training process")
        command.add_argument("--on-bad-row", default="quarantine", metavar="quarantine|fail")
        command.add_argument("--release", default="presage://incident:local", metavar="URI", help="batch-scoring, row-scoring: who predicts")
        command.add_argument("--rows", type=Path, metavar="FILE", help="batch-scoring: which entity and time; row-scoring: what is scored (Parquet)")
        command.add_argument("--explain", nargs="?", const="yes", default="no", choices=("yes", "no"), help="batch-scoring, row-scoring: with reasons")
        command.add_argument("--endpoint", metavar="URL", help="submit to this Kubeflow Pipelines endpoint instead of running here")
        command.add_argument("-o", "--output", choices=("table", "json"), default="table")
        command.set_defaults(do=_run, pipeline=listed.name)
    compiling = commands.add_parser("compile", help="write pipelines/compiled/, or check that it is current")
    compiling.add_argument("--check", action="store_true")
    compiling.set_defaults(do=_compile)
    return parser


def _run(options: argparse.Namespace) -> int:
    if options.state is not None:
        os.environ["PRESAGE_STATE"] = str(options.state.absolute())  # where a fault of ours is logged, too
    request = _scoring(options) if options.pipeline in SCORING else Request(
        pipeline=options.pipeline, source=options.source, policy=options.policy, view=options.view, seed=options.seed, threads=options.threads,
        families=tuple(name.strip() for name in options.families.split(",") if name.strip()), on_bad_row=options.on_bad_row,
    )
    document = _submit(options, request) if options.endpoint else _run_here(options, request)
    if options.output == "json":
        from presage.cli.output import print_json

        print_json(document)
    return 0


def _scoring(options: argparse.Namespace) -> ScoringRequest:
    return ScoringRequest(
        pipeline=options.pipeline, release=options.release, view=options.view, source=options.source, rows=options.rows, explain=options.explain == "yes",
        on_bad_row=options.on_bad_row,
    )  # fmt: skip


def _run_here(options: argparse.Namespace, request: Request | ScoringRequest) -> dict[str, object]:
    from pipelines.request import new_run_id
    from pipelines.result import printed
    from pipelines.runner import LocalRun
    from presage.state import State

    return printed(LocalRun(request, State.open(options.state), new_run_id()).go())


def _submit(options: argparse.Namespace, request: Request | ScoringRequest) -> dict[str, object]:
    from pipelines.endpoint import submit

    return submit(request, options.endpoint)


def _compile(options: argparse.Namespace) -> int:
    from pipelines.compile import compile_all

    return compile_all(check=options.check)


if __name__ == "__main__":
    sys.exit(main())
