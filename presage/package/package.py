"""A package: one model as a signed folder.

    parts = PackageParts(model="incident", family="lightgbm", onnx=…, contract=…, calibration=…, …)
    build_package(parts, folder / "incident", local_key(state.keys))

The same parts give the same bytes in every file; only the signature differs, as ECDSA draws a random number. It is
therefore no part of what names a package.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presage.errors import ArtifactRefused, InputError
from presage.files import canonical_json, sha256_bytes, written_aside
from presage.package.calibration import VennAbers
from presage.package.contract import Contract
from presage.package.keys import SigningKey, Trust, TrustedKey
from presage.package.layout import PACKAGE_FILES, check_format
from presage.package.onnx_check import OnnxSummary, check_onnx
from presage.package.reference import is_name
from presage.package.signing import SIGNATURE_FILE, check_files, sign_folder, verify_bundle
from presage.package.triton import triton_config


@dataclass(frozen=True)
class PackageParts:
    """What a package is made of. model: its name (lower-case words, hyphens); onnx, trees, detectors, envelope: file contents;
    metrics, lineage: JSON documents, lineage with `created` (RFC 3339) and `run_id`; card: Markdown."""

    model: str
    family: str
    onnx: bytes
    contract: Contract
    calibration: VennAbers
    metrics: Mapping[str, Any]
    lineage: Mapping[str, Any]
    card: str
    trees: bytes | None = None
    detectors: bytes | None = None
    envelope: bytes | None = None

    def files(self) -> dict[str, bytes]:
        """Name → content of every file but the signature."""
        optional = {"trees.safetensors": self.trees, "detectors.safetensors": self.detectors, "envelope.safetensors": self.envelope}
        return {
            "model.onnx": self.onnx,
            "contract.json": self.contract.to_json(),
            "calibration.safetensors": self.calibration.to_bytes(),
            "config.pbtxt": triton_config(self.model, self.contract).encode(),
            "metrics.json": canonical_json(dict(self.metrics)),
            "lineage.json": canonical_json({**self.lineage, "model": self.model, "family": self.family}),
            "card.md": self.card.encode(),
            **{name: content for name, content in optional.items() if content is not None},
        }


def build_package(parts: PackageParts, folder: Path, key: SigningKey) -> None:
    """Check, write and sign one package; `folder` appears whole or not at all and must be called as the model.

    Raises InputError where the name cannot be used, ArtifactRefused where a part would not pass the gate.
    """
    if not is_name(parts.model) or folder.name != parts.model:
        raise InputError(f"a package called {parts.model!r} cannot lie in {folder.name!r}. Name the folder as the model: lower-case words, joined by hyphens.")
    if missing := {"created", "run_id"} - parts.lineage.keys():
        raise InputError(f"lineage of {parts.model} lacks {', '.join(sorted(missing))}. Say which run made the model, and when.")
    files = parts.files()
    for name, content in files.items():
        check_format(f"packages/{'0' * 64}/{name}", content)
    check_complete(parts.model, parts.contract, files.keys())
    check_model(parts.model, parts.contract, check_onnx(parts.onnx))
    with written_aside(folder) as aside:
        aside.mkdir(mode=0o700)
        for name, content in files.items():
            (aside / name).write_bytes(content)
            (aside / name).chmod(0o600)
        sign_folder(aside, key)


def read_package(folder: Path, trust: Trust) -> tuple[TrustedKey, dict[str, bytes]]:
    """A package folder's signer and files (signature included), checked as the gate checks them. Raises ArtifactRefused."""
    allowed = {*PACKAGE_FILES, SIGNATURE_FILE}
    files: dict[str, bytes] = {}
    for path in sorted(folder.iterdir()):
        if path.name not in allowed or path.is_symlink() or not path.is_file():
            raise ArtifactRefused("format", f"{path.name!r} in {folder} is not a file that a package may hold. Remove it.")
        files[path.name] = path.read_bytes()
        check_format(f"packages/{'0' * 64}/{path.name}", files[path.name])
    if SIGNATURE_FILE not in files:
        raise ArtifactRefused("signature", f"{folder} has no {SIGNATURE_FILE}. Sign the package.")
    key, listed = verify_bundle(files[SIGNATURE_FILE], folder.name, trust)
    check_files(folder.name, listed, {name: sha256_bytes(content) for name, content in files.items() if name != SIGNATURE_FILE})
    return key, files


def check_complete(model: str, contract: Contract, files: Collection[str]) -> None:
    """Whether every file is there that this contract needs. Raises ArtifactRefused("contract")."""
    if missing := {name for name, kind in PACKAGE_FILES.items() if kind.required} - set(files):
        raise ArtifactRefused("contract", f"{model}: {', '.join(sorted(missing))} is missing. Package the model again.")
    if (contract.detectors > 0) != ("detectors.safetensors" in files):
        raise ArtifactRefused("contract", f"{model}: its contract has {contract.detectors} detector inputs, detectors.safetensors does not fit. Package again.")


def check_model(model: str, contract: Contract, onnx: OnnxSummary) -> None:
    """Whether the model takes and gives what its contract says. Raises ArtifactRefused("contract")."""
    shape = (None, contract.history, len(contract.inputs)) if contract.kind == "sequence" else (None, len(contract.inputs))
    if onnx.inputs != {"x": shape}:
        raise ArtifactRefused("contract", f"{model}: model.onnx takes {_shapes(onnx.inputs)}, its contract says x {_shape(shape)}. Package the model again.")
    if list(onnx.outputs) != ["score"] or len(onnx.outputs["score"]) != 1:
        raise ArtifactRefused("contract", f"{model}: model.onnx gives {_shapes(onnx.outputs)}, not score [batch]. Package the model again.")


def _shapes(values: Mapping[str, tuple[int | None, ...]]) -> str:
    return ", ".join(f"{name} {_shape(shape)}" for name, shape in values.items()) or "nothing"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("batch" if size is None else str(size) for size in shape) + "]"
