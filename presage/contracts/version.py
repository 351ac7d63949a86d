"""Semantic versions of contracts: MAJOR breaks callers, MINOR does not, PATCH changes words only."""

import re
from typing import Literal, NamedTuple

Effect = Literal["breaking", "compatible", "editorial"]
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


class Version(NamedTuple):
    """Ordered as semantic versions are."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    def after(self, effect: Effect | None) -> "Version":
        """The least version that may name a contract changed so; None: unchanged."""
        if effect == "breaking":
            return Version(self.major + 1, 0, 0)
        if effect == "compatible":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1) if effect == "editorial" else self


def parse_version(text: str) -> Version | None:
    """`1.4.2`; None where it is no such thing."""
    match = _VERSION.fullmatch(text)
    return None if match is None else Version(*map(int, match.groups()))
