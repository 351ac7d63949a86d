"""What all policy files share: unknown keys are refused, and these are the types of their keys."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints

from presage.durations import format_duration, parse_duration
from presage.errors import InputError


class Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _duration(value: object) -> object:
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except InputError as error:
        raise ValueError(error.message) from None  # so that pydantic adds the key


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, when_used="json"),  # a policy dumped as JSON reads back as itself
]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}-[1-9][0-9]*$")]
"""A clause's name, by which reviews and compiled objects speak of it: `TIR-1`."""
Sentence = Annotated[str, StringConstraints(min_length=3)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
