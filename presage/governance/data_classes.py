"""`policies/data-classes.yaml`: what the prediction log may keep of a prediction, by the class of data.

    policy = load_data_classes(Path("policies/data-classes.yaml"))
    policy.record["caller_id"]            "free text"
    policy.action("free text")            "mask patterns"

Compiled (`presage policies render`) into the JSON Schema beside it and into the document that the shipper reads.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, StringConstraints, TypeAdapter

from presage.documents import parse_as
from presage.errors import InputError
from presage.files import read_text

SCHEMA = "policies/schemas/data-classes.json"
COMPILED = "inference/log/data-classes.json"

Action = Literal["keep", "mask patterns", "mask whole", "encrypt per subject", "leave out"]
Part = Literal["caller", "caller_id", "because", "doubts", "server", "trace_id"]
PARTS: tuple[Part, ...] = ("caller", "caller_id", "because", "doubts", "server", "trace_id")
Id = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-[1-9][0-9]*$")]
Sentence = Annotated[str, StringConstraints(min_length=3)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z ]{0,38}[a-z]$")]
Subject = Annotated[str, StringConstraints(pattern=r"^(none|server|caller|caller_id|context\.[A-Za-z0-9_.-]{1,64})$")]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataClass(_Document):
    """means: for whoever decides which class a thing has."""

    means: Sentence
    action: Action


class Named(_Document):
    """Classes by name (* stands for any letters; the first that fits decides), and of everything else."""

    named: dict[str, ClassName] = {}
    otherwise: ClassName


class Aggregates(_Document):
    """Differential privacy of counts: hides one `hides`, whatever it did in at most `counts_at_most` decisions; budget: of epsilon, for ever."""

    hides: Literal["decision", "server", "caller", "subject"]
    counts_at_most: PositiveInt
    budget: PositiveFloat


class DataClasses(_Document):
    """See policies/data-classes.yaml, which explains itself."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    applies_to: Literal["prediction-log"]
    classes: dict[ClassName, DataClass] = Field(min_length=1)
    record: dict[Part, ClassName]
    context: Named
    inputs: Named
    subject: Subject
    aggregates: Aggregates

    def action(self, name: str) -> Action:
        """What happens to data of this class."""
        return self.classes[name].action

    def input_action(self, name: str) -> Action:
        """What happens to this input of a model."""
        return self.action(next((of for pattern, of in self.inputs.named.items() if fnmatchcase(name, pattern)), self.inputs.otherwise))


def load_data_classes(path: Path) -> DataClasses:
    """Raises InputError naming file, key, value and remedy."""
    return parse_data_classes(read_text(path, "policy of data classes", "Write one, starting from policies/data-classes.yaml."), str(path))


def parse_data_classes(text: str, where: str) -> DataClasses:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(DataClasses), text, where)
    given: list[tuple[str, str]] = [(f"record.{part}", of) for part, of in policy.record.items()]
    for section, named in (("context", policy.context), ("inputs", policy.inputs)):
        given += [(f"{section}.named.{name}", of) for name, of in named.named.items()] + [(f"{section}.otherwise", named.otherwise)]
    for key, of in given:
        if of not in policy.classes:
            raise InputError(f"{where}: {key} has class {of!r}, and the classes are {', '.join(policy.classes)}. Name one of those, or describe it.")
        if policy.action(of) == "encrypt per subject" and policy.subject == "none":
            raise InputError(f"{where}: {key} is encrypted per subject, and subject is none. Say whose key it is, or choose another class.")
        if key.startswith("inputs.") and policy.action(of) == "mask patterns":
            raise InputError(f"{where}: {key} is a number, and no pattern is found in numbers. Choose a class that is masked whole, or kept.")
    if missing := [part for part in PARTS if part not in policy.record]:
        raise InputError(f"{where}: record does not say the class of {missing[0]}. Add it: what is not classed cannot be judged.")
    subject = policy.subject
    if subject in PARTS and policy.action(policy.record[subject]) != "encrypt per subject":
        raise InputError(f"{where}: subject is {subject}, which would stand readable beside what is encrypted for it. Give it class subject.")
    if subject.startswith("context.") and policy.action(policy.context.named.get(subject[8:], policy.context.otherwise)) != "encrypt per subject":
        raise InputError(f"{where}: subject is {subject}, which would stand readable beside what is encrypted for it. Give it class subject.")
    if policy.aggregates.hides == "subject" and subject == "none":
        raise InputError(f"{where}: aggregates.hides is subject, and subject is none. Hide a server, a caller or a decision.")
    return policy


def compile_data_classes(policy: DataClasses) -> dict[str, str]:
    """Path in the repository → text: the JSON Schema, and what the shipper reads."""
    document = {
        "schema": "presage.data-classes/v1",
        "record": {part: policy.action(of) for part, of in policy.record.items()},
        "context": {key: policy.action(of) for key, of in policy.context.named.items()},
        "context_otherwise": policy.action(policy.context.otherwise),
        "inputs": {pattern: policy.action(of) for pattern, of in policy.inputs.named.items()},
        "inputs_otherwise": policy.action(policy.inputs.otherwise),
        "subject": None if policy.subject == "none" else policy.subject,
        "aggregates": policy.aggregates.model_dump(),
    }
    return {SCHEMA: json.dumps(schema(), indent=2) + "\n", COMPILED: json.dumps(document, indent=2) + "\n"}


def schema() -> dict[str, Any]:
    """JSON Schema of the policy."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **DataClasses.model_json_schema(), "title": "policies/data-classes.yaml"}
