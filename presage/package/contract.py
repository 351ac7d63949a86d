"""What goes into a model and what comes out, as one JSON document that travels in the package.

The document is data, versioned by `version` (semantic: a breaking change is a new major version; `presage.contracts` says what
breaks). Pipeline, gate, server, report and clients read the same class.
"""

from typing import Any, Literal

import msgspec

from presage.contracts.version import Version, parse_version
from presage.errors import ArtifactRefused, InputError
from presage.features.declaration import BoundView

Kind = Literal["feature_row", "sequence"]


class InputField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One column of the model's input row. unit: as OpenTelemetry writes it; low/high: the believable range (null = unbounded); values
    outside are refused for caller-given rows and counted for looked-up ones. meaning: in words, where the name does not say it."""

    name: str
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    nullable: bool = True
    dtype: Literal["FP32"] = "FP32"
    meaning: str = ""


class OutputField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor of the answer. low/high: no value lies outside (null = unbounded); values: all there can be, for text (empty = any)."""

    name: str
    dtype: Literal["FP32", "BYTES"]
    shape: list[int]  # -1 = batch
    meaning: str
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    values: list[str] = []


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

    @property
    def semantic_version(self) -> Version:
        version = parse_version(self.version)
        assert version is not None  # checked where it was read
        return version

    @property
    def major(self) -> int:
        return self.semantic_version.major

    @property
    def input_shape(self) -> list[int]:
        """Of `x`; -1 = batch."""
        width = len(self.inputs)
        return [-1, self.history, width] if self.kind == "sequence" else [-1, width]

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> "Contract":
        """Parse and check; raises ArtifactRefused("contract") naming the field."""
        try:
            contract = msgspec.json.decode(content, type=cls)
        except msgspec.MsgspecError as error:
            raise ArtifactRefused("contract", f"contract.json does not follow presage.contract/v1: {error}. Package the model again.") from error
        if wrong := _wrong(contract):
            raise ArtifactRefused("contract", f"contract.json {wrong}. Package the model again.")
        try:
            version = contract.view.version
        except (InputError, AssertionError, LookupError, TypeError, ValueError) as error:
            raise ArtifactRefused("contract", f"contract.json declares features that cannot be read ({error}). Package the model again.") from error
        if version != contract.feature_version:
            raise ArtifactRefused("contract", f"contract.json says feature version {contract.feature_version}, its declaration is {version}.")
        return contract


def _wrong(contract: Contract) -> str | None:
    """What its types do not say."""
    if parse_version(contract.version) is None:
        return f"has version {contract.version[:40]!r}, and a contract is versioned as MAJOR.MINOR.PATCH"
    if contract.kind == "sequence" and contract.history < 1:
        return f"is of a sequence and has a history of {contract.history} ticks; it takes 1 or more"
    for what, fields in (("input", contract.inputs), ("output", contract.outputs)):
        names = [field.name for field in fields]
        if len(set(names)) != len(names):
            return f"names an {what} twice"
    ranged: list[InputField | OutputField] = [*contract.inputs, *contract.outputs]
    for field in ranged:
        if field.low is not None and field.high is not None and field.low > field.high:
            return f"gives {field.name[:100]} the range {field.low:g} to {field.high:g}, in which nothing lies"
    return None
