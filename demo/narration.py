"""Telling what happens, claim by claim, and keeping it: for the terminal, for the page, for whoever doubts it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.text import Text


class Claim(msgspec.Struct):
    """words: what is said; evidence: what was seen, a line each; holds: whether that is so. seconds: since the demonstration began."""

    words: str
    evidence: list[str]
    holds: bool
    seconds: float


class Chapter(msgspec.Struct):
    """lead: why anybody should care; notes: what was done, in words; figures: what the page shows largest, by name."""

    letter: str
    title: str
    lead: str
    notes: list[str] = []
    claims: list[Claim] = []
    figures: dict[str, str] = {}
    series: list[tuple[str, float, str]] = []
    seconds: float = 0.0


class Record(msgspec.Struct):
    """began: UTC. settings: what this run was made with."""

    began: str
    settings: dict[str, Any]
    chapters: list[Chapter] = []
    seconds: float = 0.0
    failed: str = ""


class NotSo(Exception):
    """A claim of the demonstration does not hold."""


class Narrator:
    """console: where it is told. What was told is in `record`."""

    def __init__(self, console: Console, settings: dict[str, Any]) -> None:
        self.console, self._began = console, time.monotonic()
        self.record = Record(datetime.now(UTC).replace(microsecond=0).isoformat(), settings)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)

    @property
    def chapter(self) -> Chapter:
        return self.record.chapters[-1]

    def begin(self, letter: str, title: str, lead: str) -> None:
        """The next chapter."""
        self.close()
        self.record.chapters.append(Chapter(letter, title, lead, [], [], {}, [], self.seconds))
        self.console.print()
        self.console.rule(Text(f"{letter}  {title}", style="bold"), align="left", style="dim")
        self.console.print(Padding(Text(lead, style="dim"), (0, 0, 0, 3)))

    def close(self) -> None:
        """The last chapter is over."""
        self.record.seconds = self.seconds
        if self.record.chapters:
            self.chapter.seconds = round(self.seconds - sum(one.seconds for one in self.record.chapters[:-1]), 1)

    def say(self, words: str) -> None:
        """What is being done."""
        self.chapter.notes.append(words)
        self.console.print(Padding(Text(words), (0, 0, 0, 3)))

    def figure(self, name: str, value: str) -> None:
        """A number that the page shows large."""
        self.chapter.figures[name] = value

    def claim(self, words: str, holds: bool, evidence: str | Sequence[str] = ()) -> None:
        """Raises NotSo where it does not hold: the demonstration is over then."""
        lines = [evidence] if isinstance(evidence, str) else list(evidence)
        self.chapter.claims.append(Claim(words, lines, bool(holds), self.seconds))
        mark = ("✓", "bold green") if holds else ("✗", "bold red")
        self.console.print(Text.assemble(" ", mark, " ", (words, "bold"), (f"  {self.seconds:.0f} s", "dim")))
        for line in lines:
            self.console.print(Padding(Text(line, style="cyan"), (0, 0, 0, 5)))
        if not holds:
            self.record.failed = words
            raise NotSo(words)
