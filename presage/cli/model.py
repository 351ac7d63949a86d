"""`presage model …`: models that were not trained here."""

from pathlib import Path
from typing import Annotated

import typer

from presage.cli.output import Output, OutputOption, print_json


def import_model(  # noqa: PLR0917 - options, passed by name
    onnx: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="Takes x FP32 [batch, inputs], gives score FP32 [batch].")],
    contract: Annotated[Path, typer.Option("--contract", metavar="FILE", help="contract.json: inputs, features, horizon.")],
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="CSV of held-out rows (score, label), or calibration.safetensors. Asked for.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="MODEL", help="Its name; default: the file's.")] = None,
    detectors: Annotated[Path | None, typer.Option("--detectors", metavar="FILE", help="detectors.safetensors, where the contract has such inputs.")] = None,
    trees: Annotated[Path | None, typer.Option("--trees", metavar="FILE", help="trees.safetensors: reasons from the trees.")] = None,
    card: Annotated[Path | None, typer.Option("--card", metavar="FILE", help="Model card in Markdown; default: one that says what is not known.")] = None,
    store: Annotated[str | None, typer.Option("--store", metavar="STORE", help="A folder or s3://BUCKET[/PREFIX]; default: this state's releases.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Sign with this ECDSA P-256 key; default: this state's own.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Package a foreign ONNX model with the checks that ours pass, sign and store it. `presage release compose` puts it into a release."""
    import os

    from presage import hosts
    from presage.package.importing import import_model as package
    from presage.package.keys import local_key, read_key
    from presage.package.store import ReleaseStore
    from presage.state import State

    hosts.install()
    state = State.open()
    stored = package(
        onnx,
        contract,
        ReleaseStore(state.releases) if store is None else ReleaseStore.open(store, os.environ),
        local_key(state.keys) if key is None else read_key(key),
        scratch=state.root,
        name=name,
        calibration=calibration,
        detectors=detectors,
        trees=trees,
        card=card,
    )
    if output is Output.json:
        print_json({"model": stored.model, "package": stored.digest, "contract": f"{stored.contract.name} {stored.contract.version}"})
    else:
        print(f"{stored.model}  {stored.digest}")
