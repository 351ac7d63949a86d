"""Sources of telemetry by spec: `simulated:servers=24`, `host`, `parquet:PATH`, `csv:PATH,mapping=FILE`.

    source = parse_source("csv:fleet.csv")
    telemetry = source.read(quarantine)

A new source is one `Scheme` in SCHEMES: its name, its spelling, the options it takes, and what makes it. Nothing else
in presage asks which source it reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

from presage.errors import UsageError
from presage.telemetry.live import LiveStream
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import Telemetry


class Source(Protocol):
    """Something that yields telemetry in one piece."""

    @property
    def name(self) -> str:
        """The scheme."""

    @property
    def spec(self) -> str:
        """The spec as it was given."""

    @property
    def live(self) -> bool:
        """Whether it is a LiveSource too."""

    def read(self, quarantine: Quarantine) -> Telemetry:
        """Everything it has; refused rows go to `quarantine`. Raises InputError where nothing can be read."""


@runtime_checkable
class LiveSource(Source, Protocol):
    """A source that also goes on."""

    def stream(self, speed: float, backfill: timedelta) -> LiveStream:
        """Start now: `backfill` of event time at once, then real time times `speed`."""


@dataclass(frozen=True)
class Spec:
    """A spec taken apart: `scheme:target,key=value,…`."""

    text: str
    scheme: str
    target: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Scheme:
    """One kind of source. `spelling` is shown to people; `target`: whether something stands before the options (a path)."""

    name: str
    spelling: str
    target: bool
    options: tuple[str, ...]
    make: Callable[[Spec], Source]


def _simulated(spec: Spec) -> Source:
    from presage.telemetry.simulator.source import SimulatedSource

    return SimulatedSource.from_spec(spec)


def _host(spec: Spec) -> Source:
    from presage.telemetry.host import HostSource

    return HostSource(spec.text)


def _table(spec: Spec) -> Source:
    from presage.telemetry.tables.source import TableSource

    return TableSource.from_spec(spec)


SCHEMES: tuple[Scheme, ...] = (
    Scheme("simulated", "simulated[:servers=24,days=14,seed=7,metrics=all|host,incidents=1.5]", False,
           ("servers", "days", "seed", "metrics", "incidents"), _simulated),
    Scheme("host", "host", False, (), _host),
    Scheme("parquet", "parquet:PATH[,mapping=FILE]", True, ("mapping",), _table),
    Scheme("csv", "csv:PATH[,mapping=FILE]", True, ("mapping",), _table),
)


def _known() -> str:
    return ", ".join(scheme.spelling for scheme in SCHEMES)


def parse_spec(text: str) -> tuple[Scheme, Spec]:
    """Take a spec apart. Raises UsageError naming the part that is wrong."""
    name, colon, rest = text.strip().partition(":")
    scheme = next((scheme for scheme in SCHEMES if scheme.name == name), None)
    if scheme is None:
        suffix = name.rpartition(".")[2].lower()
        hint = f" Did you mean {suffix}:{text}?" if suffix in ("csv", "parquet") else ""
        raise UsageError(f"--source {text!r} names no known source.{hint} Known: {_known()}.")
    if colon and not rest:
        raise UsageError(f"--source {text!r} ends in a colon. Write {scheme.spelling}.")
    target, options = rest, {}
    if scheme.target:
        # A path may hold commas and equals signs: only a known option at the end is taken off it.
        while True:
            head, comma, tail = target.rpartition(",")
            key, equals, value = tail.partition("=")
            if not (comma and equals and key in scheme.options):
                break
            target, options[key] = head, value
        if not target:
            raise UsageError(f"--source {text!r} names no file. Write {scheme.spelling}.")
    else:
        target = ""
        for part in filter(None, rest.split(",")):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or key not in scheme.options:
                takes = f"It takes {', '.join(scheme.options)}" if scheme.options else "It takes none"
                raise UsageError(f"--source {text!r}: {part!r} is no option of {scheme.name}. {takes}: {scheme.spelling}.")
            if key in options:
                raise UsageError(f"--source {text!r} gives {key} twice. Keep one.")
            options[key] = value
    return scheme, Spec(text.strip(), name, target, options)


def parse_source(spec: str) -> Source:
    """The source that `spec` names. Raises UsageError on a bad spec; files are opened by `read`, not here."""
    scheme, parts = parse_spec(spec)
    return scheme.make(parts)


def live_source(spec: str) -> LiveSource:
    """The live source that `spec` names. Raises UsageError where the source only has a past."""
    source = parse_source(spec)
    if not source.live or not isinstance(source, LiveSource):
        raise UsageError(f"--source {spec!r} is a file, it does not go on. Stream from simulated or host, or run a training with it.")
    return source
