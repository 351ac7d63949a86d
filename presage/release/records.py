"""Each step of a release as a signed statement, in the commit that takes it.

    policies/releases/production/models-network/incident-7/01-start.dsse.json

An in-toto statement in a DSSE envelope (ECDSA P-256), subject: the release. Each names the digest of the one before, so that none can be left out
or put in between unseen; what is after the last is only seen by whoever knows that there was more (the audit log does).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from presage.errors import ArtifactRefused
from presage.files import sha256_bytes
from presage.package.dsse import IN_TOTO, Signer, named_signer, sign
from presage.package.dsse import verify as verify_envelope
from presage.package.keys import Trust
from presage.package.reference import Reference
from presage.package.statement import parse_statement, statement, unverified_payload
from presage.release.standing import Place

RECORDS = "policies/releases"
PREDICATE = "https://presage.io/release-step/v1"
StepName = Literal["start", "prepare", "raise", "promote", "retire", "revert", "rollback", "switch"]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """before, after: Standing.summary(); plan: the tier's canary plan; evidence: what the judge had counted, None where nobody judged;
    at: RFC 3339, UTC; previous: `sha256:<hex>` of the record's file before this, None for the first."""

    step: StepName
    overlay: str
    application: str
    model: str
    before: dict[str, Any]
    after: dict[str, Any]
    tier: str
    plan: dict[str, Any]
    evidence: dict[str, Any] | None
    because: str
    at: str
    previous: str | None

    @property
    def place(self) -> Place:
        return Place(self.overlay, self.application, self.model)


@dataclass(frozen=True)
class Record:
    """path: in the repository; release: its URI; key: id of who signed it; digest: `sha256:<hex>` of the file."""

    path: str
    release: str
    step: Step
    key: str
    digest: str


def folder_of(place: Place, reference: Reference) -> str:
    return f"{RECORDS}/{place.overlay}/{place.application}/{reference.name}-{reference.version}"


def write_record(tree: Path, place: Place, reference: Reference, step: Step, signer: Signer) -> str:
    """Sign and add it to `tree`; its path there. step.previous is set here."""
    folder = tree / folder_of(place, reference)
    before = sorted(folder.glob("*.dsse.json")) if folder.is_dir() else []
    previous = f"sha256:{sha256_bytes(before[-1].read_bytes())}" if before else None
    step = msgspec.structs.replace(step, previous=previous)
    path = folder / f"{len(before) + 1:02}-{step.step}.dsse.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    payload = statement(f"{reference.name}:{reference.version}", str(reference.digest), PREDICATE, step)
    path.write_bytes(sign(payload, IN_TOTO, signer))
    return path.relative_to(tree).as_posix()


def read_records(tree: Path, place: Place, reference: Reference, trust: Trust | None = None) -> list[Record]:
    """A release's records at a place, the oldest first. trust: whose signatures count; None: nobody's is looked at.

    Raises ArtifactRefused("signature") where one is not signed by a trusted key, is out of its chain or is about something else.
    """
    folder = tree / folder_of(place, reference)
    found: list[Record] = []
    for number, path in enumerate(sorted(folder.glob("*.dsse.json")) if folder.is_dir() else [], start=1):
        record = _read(path, path.relative_to(tree).as_posix(), trust)
        step = record.step
        wrong = (
            f"is number {path.name[:2]}, and {number:02} is due" if not path.name.startswith(f"{number:02}-")
            else "does not name the record before it" if step.previous != (found[-1].digest if found else None)
            else f"is of {step.place}" if step.place != place
            else f"is about {record.release}" if reference.digest and record.release != str(reference)
            else ""
        )  # fmt: skip
        if wrong:
            raise ArtifactRefused("signature", f"{record.path} {wrong}. Restore the records from Git's history.")
        found.append(record)
    return found


def all_records(tree: Path) -> Iterator[Record]:
    """Every record that can be read, unverified, by path."""
    for path in sorted((tree / RECORDS).rglob("*.dsse.json")):
        yield _read(path, path.relative_to(tree).as_posix(), None)


def parse_record(content: bytes, where: str, trust: Trust | None = None) -> Record:
    """From a file's bytes. Raises ArtifactRefused("signature")."""
    try:
        payload = unverified_payload(content) if trust is None else verify_envelope(content, IN_TOTO, trust, where).payload
    except ValueError:
        raise ArtifactRefused("signature", f"{where} is no DSSE envelope. Restore it from Git's history.") from None
    stated = parse_statement(payload, Step, PREDICATE, where)
    return Record(where, f"presage://{stated.name}@{stated.digest}", stated.predicate, named_signer(content), f"sha256:{sha256_bytes(content)}")


def _read(path: Path, where: str, trust: Trust | None) -> Record:
    return parse_record(path.read_bytes(), where, trust)
