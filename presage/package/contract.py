"""What goes into a model and what comes out, as one JSON document that travels in the package.

The document is data, versioned by `version` (semantic: a breaking change is a new major version). Pipeline, gate, server,
report and clients read the same class.
"""

from typing import Any, Literal

import msgspec

from presage.errors import ArtifactRefused, InputError
from presage.features.declaration import BoundView

Kind = Literal["feature_row", "sequence"]


class InputField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the model's input row. low/high: the believable range (null = unbounded); values outside are
    refused for caller-given rows and counted for looked-up ones."""

    name: str
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    nullable: bool = True


class OutputField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    dtype: Literal["FP32", "BYTES"]
    shape: list[int]  # -1 = batch
    meaning: str


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name, version: of the contract. kind: `feature_row` takes x FP32 [batch, len(inputs)]; `sequence` takes
    x FP32 [batch, history, len(inputs)] (per-tick means, oldest first). features: the bound view (document form) whose rows
    fill the leading columns; detectors: how many trailing columns are detector scores that the path computes itself.
    feature_version: `BoundView.version`. entities: the kind of key callers name."""

    name: str
    version: str
    kind: Kind
    inputs: list[InputField]
    outputs: list[OutputField]
    features: dict[str, Any]
    feature_version: str
    detectors: int = 0
    history: int = 0
    entity: str = "server"
    horizon: str = "1h"
    schema: str = "presage.contract/v1"

    @property
    def view(self) -> BoundView:
        return BoundView.from_document(self.features)

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> "Contract":
        """Parse and check; raises ArtifactRefused("contract") naming the field."""
        try:
            contract = msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise ArtifactRefused("contract", f"contract.json does not follow presage.contract/v1: {error}. Package the model again.") from error
        names = [field.name for field in contract.inputs]
        if len(set(names)) != len(names):
            raise ArtifactRefused("contract", "contract.json names an input twice. Package the model again.")
        try:
            version = contract.view.version
        except (InputError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise ArtifactRefused("contract", f"contract.json declares features that cannot be read ({error}). Package the model again.") from error
        if version != contract.feature_version:
            raise ArtifactRefused("contract", f"contract.json says feature version {contract.feature_version}, its declaration is {version}.")
        return contract
