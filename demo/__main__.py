"""The command: see the package."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import msgspec

from demo.chapters import policy, refused, regression, rising, running, setting, trace
from demo.narration import Narrator, NotSo
from demo.page import write_page
from demo.recording import Recording
from demo.stage import FAST, WHOLE, Stage
from presage.errors import PresageError
from presage.files import write_json


def main(arguments: list[str]) -> int:
    """Exit code 0 where everything that was claimed holds, 1 where something does not."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="presage in five minutes, on real processes; every step shows its evidence.")
    parser.add_argument("--fast", action="store_true", help="a smaller fleet and one family: for CI")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave everything there (default: a temporary folder, of which the page alone stays)")
    parser.add_argument("--page", type=Path, default=Path("build") / "demo" / "index.html", metavar="FILE", help="where the page goes (%(default)s)")
    parser.add_argument("--recording", type=Path, metavar="FOLDER", help="also write demo.cast (asciicast) and demo.svg there")
    options = parser.parse_args(arguments)
    scale = FAST if options.fast else WHOLE
    recording = Recording(sys.stdout, int(os.environ.get("COLUMNS", "110")), coloured=options.recording is not None)
    tell = Narrator(recording.console, {"source": scale.source, "families": list(scale.families), "speed": scale.speed, "fast": options.fast})
    folder = options.keep or Path(tempfile.mkdtemp(prefix="presage-demo-"))
    try:
        with Stage.build(folder, scale) as stage:
            _play(stage, tell, options.page)
    except NotSo:
        pass
    except (PresageError, TimeoutError) as error:
        tell.record.failed = str(error)
        tell.console.print(f"[bold red]✗[/] {error}", highlight=False)
    finally:
        tell.close()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    write_page(tell.record, options.page)
    write_json(options.page.with_name("demo.json"), msgspec.to_builtins(tell.record))
    if options.recording:
        recording.write(options.recording)
    ended = f"ended: {tell.record.failed}" if tell.record.failed else f"everything that was claimed holds; {tell.seconds:.0f} s"
    tell.console.print()
    tell.console.print(f"{ended}\nthe page: {options.page}", highlight=False)
    return 1 if tell.record.failed else 0


def _play(stage: Stage, tell: Narrator, page: Path) -> None:
    """page: beside it goes the trace's own."""
    stable = setting.show(stage, tell)
    server = rising.show(stage, tell)
    answer = regression.show(stage, tell, stable, server)
    refused.show(stage, tell, stable, server)
    policy.show(stage, tell)
    trace.show(stage, tell, answer, page.with_name("trace.html"))
    running.show(stage, tell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
