"""Releases that were promoted before: the subjects of `promote` records in policies/releases. One may go back to them at any time."""

from collections.abc import Iterator
from pathlib import Path

from presage.package.statement import named_subject

RECORDS = "policies/releases"


def served_releases(root: Path) -> Iterator[str]:
    """`incident:6@sha256:…`, sorted. A record's signature is judged by `presage verify`; this only reads what it names."""
    named = (named_subject(path.read_bytes()) for path in (root / RECORDS).rglob("*-promote.dsse.json"))
    yield from sorted({f"{name}@{digest}" for name, digest in filter(None, named)})
