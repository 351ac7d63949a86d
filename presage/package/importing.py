"""A model that was not trained here, as a package: checked like one of ours, and signed by who takes the responsibility for it.

    import_model(Path("risk.onnx"), Path("contract.json"), store, key, name="incident-vendor", calibration=Path("held-out.csv"))

A score is no risk. What is served is a risk with its interval, and both come from held-out rows whose outcome is known: without them an
imported model could only promise what nobody measured. So a calibration is asked for and never made up; where there are no labelled rows
yet, let the model answer in a shadow first and import it with what was seen.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from presage.contracts.reading import read_contract
from presage.errors import InputError
from presage.files import read_text, sha256_bytes
from presage.package.calibration import VennAbers
from presage.package.composing import keep
from presage.package.contract import Contract
from presage.package.formats import check_safetensors
from presage.package.keys import SigningKey, Trust
from presage.package.layout import PACKAGE_FILES
from presage.package.onnx_check import check_onnx
from presage.package.package import PackageParts, build_package
from presage.package.reference import is_name
from presage.package.store import ReleaseStore, StoredPackage

FAMILY = "imported"
ROWS_NEEDED = 50  # below, an isotonic fit says little more than the prevalence


@dataclass(frozen=True)
class _Calibration:
    """rows, prevalence: of the held-out rows; None where the arrays came fitted."""

    fitted: VennAbers
    rows: int | None
    prevalence: float | None


def import_model(
    onnx: Path,
    contract: Path,
    store: ReleaseStore,
    key: SigningKey,
    *,
    scratch: Path,
    name: str | None = None,
    family: str = FAMILY,
    calibration: Path | None = None,
    detectors: Path | None = None,
    trees: Path | None = None,
    card: Path | None = None,
) -> StoredPackage:
    """Check, package, sign and store a foreign ONNX model; the same files again give the same package.

    scratch: a private folder; name: default: the file's; calibration: a CSV with the columns score and label (0 or 1) of rows that the model
    was not trained on, or `calibration.safetensors`; detectors, trees: arrays as packages hold them, where the contract asks for them.

    Raises InputError where a file cannot be used, ArtifactRefused where the gate would refuse the package.
    """
    model = name if name is not None else onnx.stem
    if not is_name(model):
        raise InputError(f"{model[:100]!r} is no name of a model: lower-case words, joined by hyphens. Give one with --name.")
    content = _read(onnx, "ONNX model", "model.onnx")
    _checked(onnx, check_onnx, content)
    described = read_contract(contract)
    if calibration is None:
        raise InputError(
            f"{model} comes without calibration: its score is no risk, and no interval could be promised. "
            "Give --calibration with the scores and labels of held-out rows, or the arrays of a package."
        )
    if described.detectors and detectors is None:
        raise InputError(f"{contract} has {described.detectors} detector inputs, which the server computes itself. Give their arrays with --detectors.")
    calibrated = _calibration(calibration)
    made = datetime.fromtimestamp(int(onnx.stat().st_mtime), UTC)
    parts = PackageParts(
        model=model,
        family=family,
        onnx=content,
        contract=described,
        calibration=calibrated.fitted,
        metrics=_metrics(family, calibrated),
        lineage=_lineage(content, calibration, made),
        card=read_text(card, "model card", "Write it in Markdown.") if card else _card(model, content, described, calibrated),
        trees=_arrays(trees),
        detectors=_arrays(detectors) if described.detectors else None,
    )
    with TemporaryDirectory(dir=scratch) as folder:
        build_package(parts, Path(folder) / model, key)
        stored = store.add(Path(folder) / model, Trust.of([key.public]))
    keep(store, stored)
    return stored


def _calibration(path: Path) -> _Calibration:
    if path.suffix == ".safetensors":
        content = _read(path, "calibration", "calibration.safetensors")
        _checked(path, check_safetensors, content)
        return _Calibration(VennAbers.load(content), None, None)
    scores, labels = _scores(path)
    if len(scores) < ROWS_NEEDED or len(set(labels)) < 2:
        raise InputError(
            f"{path} has {len(scores)} rows, {sum(labels)} of them with label 1. Give at least {ROWS_NEEDED}, with both labels; "
            "they decide how wide the interval is."
        )
    return _Calibration(VennAbers.fit(scores, labels), len(scores), float(np.mean(labels)))


def _scores(path: Path) -> tuple[list[float], list[int]]:
    """The columns score and label of a CSV."""
    text = read_text(path, "calibration", "Give a CSV with the columns score and label, or calibration.safetensors.")
    table = csv.DictReader(text.splitlines())
    if not {"score", "label"} <= set(table.fieldnames or ()):
        raise InputError(f"{path}: the columns are {', '.join(table.fieldnames or ['none'])[:200]}. Name two of them score and label.")
    scores, labels = [], []
    for row in table:
        try:
            score = float(row["score"])
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise InputError(f"{path}:{table.line_num}: 'score' is {str(row['score'])[:40]!r}, not a number. Mend the row.")
        if row["label"] not in ("0", "1"):
            raise InputError(f"{path}:{table.line_num}: 'label' is {str(row['label'])[:40]!r}, not 0 or 1. Mend the row, or leave it out.")
        scores.append(score)
        labels.append(int(row["label"]))
    return scores, labels


def _arrays(path: Path | None) -> bytes | None:
    if path is None:
        return None
    content = _read(path, "arrays", "trees.safetensors")
    _checked(path, check_safetensors, content)
    return content


def _read(path: Path, what: str, kind: str) -> bytes:
    """The bytes of a file that is no larger than its kind may be in a package."""
    limit = PACKAGE_FILES[kind].limit
    try:
        with path.open("rb") as handle:
            content = handle.read(limit + 1)
    except OSError as error:
        raise InputError(f"{path}: the {what} cannot be read ({error.strerror}). Name another file.") from None
    if len(content) > limit:
        raise InputError(f"{path} has more than {limit} bytes, the most that a package may hold of this. Make it smaller.")
    return content


def _checked(path: Path, check: Any, content: bytes) -> None:
    try:
        check(content)
    except ValueError as error:
        raise InputError(f"{path} {error}. Give another file.") from None


def _metrics(family: str, calibrated: _Calibration) -> Mapping[str, Any]:
    """What is known: measures are for whoever evaluates it here."""
    known = {"prevalence": calibrated.prevalence, "calibration_rows": calibrated.rows} if calibrated.rows is not None else {}
    return {"schema": "presage.metrics/v1", "family": family, "imported": True, **known}


def _lineage(content: bytes, calibration: Path, made: datetime) -> Mapping[str, Any]:
    digest = sha256_bytes(content)
    return {
        "schema": "presage.lineage/v1",
        "pipeline": "model-import",
        "run_id": f"import-{digest[:16]}",
        "created": f"{made:%Y-%m-%dT%H:%M:%SZ}",
        "onnx": f"sha256:{digest}",
        "calibration": f"sha256:{sha256_bytes(calibration.read_bytes())}",
    }


def _card(model: str, content: bytes, contract: Contract, calibrated: _Calibration) -> str:
    from_rows = f"from {calibrated.rows} held-out rows, {calibrated.prevalence:.1%} of them positive" if calibrated.rows is not None else "as fitted arrays"
    return (
        f"# {model}\n\nImported, not trained here: nothing in this repository says what it learnt from, and it was not evaluated here.\n\n"
        f"- ONNX: sha256:{sha256_bytes(content)}\n- Contract: {contract.name} {contract.version}, {len(contract.inputs)} inputs, horizon {contract.horizon}\n"
        f"- Calibration: given with it, {from_rows}. The interval is as good as those rows are like what it will meet.\n"
    )
