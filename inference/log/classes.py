"""What the log may keep, as compiled from policies/data-classes.yaml: one action for each part of a record.

    classes = read_classes()                       # the committed policy's
    classes.record["caller_id"]                    "mask patterns"
    classes.of_input("system.cpu.utilization.last_15m")
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import msgspec

from presage.errors import InputError

Action = Literal["keep", "mask patterns", "mask whole", "encrypt per subject", "leave out"]
COMPILED = Path(__file__).with_name("data-classes.json")
SETTING = "PRESAGE_DATA_CLASSES"


class Aggregates(msgspec.Struct, frozen=True):
    """See policies/data-classes.yaml."""

    hides: Literal["decision", "server", "caller", "subject"]
    counts_at_most: int
    budget: float


class Classes(msgspec.Struct, frozen=True):
    """record: column → action; context and inputs: by key and by pattern, `…_otherwise` for the rest; subject: whose key encrypts."""

    schema: Literal["presage.data-classes/v1"]
    record: dict[str, Action]
    context: dict[str, Action]
    context_otherwise: Action
    inputs: dict[str, Action]
    inputs_otherwise: Action
    subject: str | None
    aggregates: Aggregates

    def of_context(self, key: str) -> Action:
        return self.context.get(key, self.context_otherwise)

    def of_input(self, name: str) -> Action:
        """Of an input, a feature or a metric's history, by its name; a metric counts as what any of its features would."""
        found = next((action for pattern, action in self.inputs.items() if fnmatchcase(name, pattern)), None)
        return self.inputs_otherwise if found is None else found

    @property
    def keeps_inputs(self) -> bool:
        """Whether no input is ever changed: the usual case, in which nothing looks at them."""
        return self.inputs_otherwise == "keep" and all(action == "keep" for action in self.inputs.values())


def read_classes(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Classes:
    """The policy at `path`, else at $PRESAGE_DATA_CLASSES, else the committed one: YAML as people write it, or as compiled (JSON)."""
    place = path or (Path(named) if (named := environment.get(SETTING)) else COMPILED)
    try:
        content = place.read_bytes()
    except OSError as error:
        raise InputError(f"{place}: the policy of data classes cannot be read ({error.strerror}). Without it nothing is shipped; name another.") from None
    if place.suffix != ".json":
        from presage.governance.data_classes import COMPILED as NAME
        from presage.governance.data_classes import compile_data_classes, parse_data_classes

        content = compile_data_classes(parse_data_classes(content.decode(errors="replace"), str(place)))[NAME].encode()
    return decode_classes(content, str(place))


def decode_classes(content: bytes | str, where: str) -> Classes:
    """From the compiled JSON. Raises InputError."""
    try:
        return msgspec.json.decode(content, type=Classes)
    except msgspec.MsgspecError as error:
        raise InputError(f"{where}: not a compiled policy of data classes ({error}). Run `presage policies render`.") from None


def compiled(policy: Any) -> Classes:
    """Of a policy that was read already (presage.governance.data_classes.DataClasses)."""
    from presage.governance.data_classes import COMPILED as NAME
    from presage.governance.data_classes import compile_data_classes

    return decode_classes(compile_data_classes(policy)[NAME], policy.id)
