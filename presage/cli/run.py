"""`presage run`: a pipeline from its source to a release."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.output import Output, OutputOption, print_json
from presage.errors import UsageError

if TYPE_CHECKING:
    from presage.runs import Scoring

SCORING = ("batch-scoring", "row-scoring")
LOCAL = "presage://incident:local"


def run(  # noqa: PLR0917 - options, passed by name
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="incident-training, batch-scoring or row-scoring.")],
    source: Annotated[str, typer.Option("--source", metavar="SPEC", help="Telemetry: simulated[:servers=24,…], parquet:PATH, csv:PATH.")] = "simulated",
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="Model policy; default: policies/models/incident.yaml.")] = None,
    view: Annotated[Path | None, typer.Option("--view", metavar="FILE", help="Feature view; default: feature_store/views/server_windows.yaml.")] = None,
    families: Annotated[str, typer.Option("--families", metavar="A,B", help="Model families to train; default: all.")] = "",
    seed: Annotated[int, typer.Option("--seed", help="Makes a run repeatable.")] = 7,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of each training process; two processes train at a time.")] = 1,
    on_bad_row: Annotated[str, typer.Option("--on-bad-row", metavar="quarantine|fail", help="What a row that cannot be read does.")] = "quarantine",
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="URL", help="Submit to this Kubeflow Pipelines endpoint instead.")] = None,
    release: Annotated[str | None, typer.Option("--release", metavar="URI", help="Scoring: who predicts; default: presage://incident:local.")] = None,
    rows: Annotated[
        Path | None, typer.Option("--rows", metavar="FILE", help="Scoring: Parquet of entity and time (batch-scoring), or of inputs (row-scoring).")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Scoring: with reasons.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Run a pipeline here, step by step, or hand it to a Kubeflow endpoint.

    batch-scoring and row-scoring write predictions, as Parquet, by the path that answers online.

    Progress goes to stderr. A killed run goes on where it was when the same command is given again.
    """
    from presage import runs

    named = tuple(name.strip() for name in families.split(",") if name.strip())
    if families and not named:
        raise UsageError(f"--families {families!r} names no family. Leave it out to train all.")
    if endpoint:
        submitted = runs.submit(
            pipeline, endpoint, source=source, policy=policy, view=view, families=named, seed=seed, threads=threads, on_bad_row=on_bad_row,
            release=release, rows=rows, explain=explain,
        )  # fmt: skip
        if output is Output.json:
            print_json(submitted)
        else:
            print(f"{submitted.pipeline} submitted as {submitted.run_id}: {submitted.url}")
        return
    if pipeline in SCORING:
        _score(runs.score(pipeline, release=release or LOCAL, source=source, rows=rows, view=view, explain=explain, on_bad_row=on_bad_row), output)
        return
    finished = runs.run(pipeline, source=source, policy=policy, view=view, families=named, seed=seed, threads=threads, on_bad_row=on_bad_row)
    if output is Output.json:
        print_json(finished)
        return
    from presage.console.runs import print_run

    print_run(finished)


def _score(scored: "Scoring", output: Output) -> None:
    if output is Output.json:
        print_json(scored)
        return
    tiers = ", ".join(f"{count} {tier}" for tier, count in scored.tiers.items()) or "none"
    print(f"{scored.rows} rows by {scored.release}: {tiers}; {scored.refused} refused")
    print(f"predictions  {scored.predictions}")
