"""`presage audit verify`, `show`, `denials` and `anchor`: the log of what was approved, released, refused, revoked and deleted."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import InputError, UsageError

if TYPE_CHECKING:
    from presage.governance.audit import Verdict
    from presage.storage.locking import LockingBucket


def verify(
    anchor: Annotated[str | None, typer.Option("--anchor", metavar="s3://BUCKET", help="Hold the log against the checkpoints that are locked there.")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="audit.vkey from elsewhere: whoever owns this folder owns the one in it.")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Sign the log as it is, where only its signed head was lost, and say so in it.")] = False,
    output: OutputOption = Output.table,
) -> int:
    """Read the whole log again: whether an entry was changed, left out, put in or cut off. Exit code 1 where it was."""
    from presage.governance.audit import AuditLog, VerifyingKey, anchored_checkpoints, verify_log
    from presage.governance.audit import accept as sign
    from presage.state import State

    state = State.open()
    path = key or state.keys / "audit.vkey"
    if not path.is_file():
        raise UsageError(f"{path}: there is no key to verify by. Name one: --key.")
    believed = VerifyingKey.parse(path.read_text(errors="replace"), str(path))
    if accept:
        log = AuditLog.open(state.root / "audit")
        if log.key.public != believed:
            raise UsageError(f"{path} is not the key of this log, so it cannot be signed by it. Leave --key out.")
        sign(log, at=datetime.now(UTC))
    found = verify_log(state.root / "audit", believed, anchored_checkpoints(_bucket(anchor)) if anchor else None)
    if output is Output.json:
        print_json(_document(found))
    else:
        for finding in found.findings:
            print(_line(finding.fact))
        if found.more:
            print(f"and {found.more} more")
        print(f"{found.entries} entries in order{'' if found.good else ', from the first'}; {found.checkpoints} checkpoints, {found.anchors} anchored")
    for sentence in (*dict.fromkeys(f"{finding.remedy}." for finding in found.findings), *found.notes):
        say(sentence)
    if anchor is None:
        say("not held against an anchor: only --anchor s3://BUCKET finds a log that was replaced by an older copy of itself, or signed anew by its own key")
    return 0 if found.good else 1


def show(
    kind: Annotated[str | None, typer.Option("--kind", help="approved, released, gate-refused, …")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="What it is about: part of it is enough.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="From then on (UTC): 2026-11-25, 2026-11-25T14:00, or so long ago: 7d.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, help="So many at most, the newest.")] = 50,
    output: OutputOption = Output.table,
) -> None:
    """What the log says, the newest last."""
    from collections import deque

    import msgspec

    from presage.governance.audit import read_entries
    from presage.governance.audit.entries import KINDS
    from presage.state import State

    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind[:60]!r} is none of {', '.join(KINDS)}. Name one of these.")
    begin = _moment(since) if since else None
    chosen = deque(
        (
            one for one in read_entries(State.open().root / "audit")
            if kind in {None, one.kind} and (subject is None or subject in one.subject) and (begin is None or datetime.fromisoformat(one.at) >= begin)
        ), maxlen=last,
    )  # fmt: skip
    if output is Output.json:
        print_json([msgspec.to_builtins(one) for one in chosen])
        return
    if not chosen:
        say("no such entry")
        return
    width = min(60, max(len(one.subject) for one in chosen))
    print(f"{'N':>6}  {'AT':<23}  {'KIND':<17}  {'SUBJECT':<{width}}  FACTS")
    for one in chosen:
        facts = ", ".join(f"{name}: {value}" for name, value in one.facts.items())
        print(_line(f"{one.n:>6}  {one.at[:23]}  {one.kind:<17}  {one.subject:<{width}}  {facts}"))


def denials(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Access logs of a gateway and of sidecars, JSON lines; - is standard input.")],
    gateway: Annotated[str | None, typer.Option("--gateway", metavar="SPIFFE-ID", help="Its identity in the mesh, if it is not presage-istio.")] = None,
    output: OutputOption = Output.table,
) -> None:
    """Bring access denials into the log: who, what and why, with how often. Run again, it goes on where it was.

    Of standard input nobody knows how far it was read: brought again, it is counted again. On the laptop plane nobody need run it.
    """
    from presage.governance.audit.denials import GATEWAY
    from presage.governance.audit.gathering import gather, gather_stream
    from presage.state import State

    state, at, streamed = State.open(), datetime.now(UTC), Path("-")
    gateway = GATEWAY if gateway is None else gateway
    if missing := [path for path in files if path != streamed and not path.is_file()]:
        raise InputError(f"{missing[0]}: there is no such file. Name an access log.")
    written = gather((path for path in files if path != streamed), state.root / "denials", state.root / "audit", at=at, gateway=gateway)
    if streamed in files:
        written += gather_stream(sys.stdin.buffer, state.root / "audit", at=at, gateway=gateway)
    if output is Output.json:
        print_json([{name: entry.facts[name] for name in ("who", "what", "why", "count", "first", "last", "log")} for entry in written])
        return
    for entry in written:
        facts = entry.facts
        print(_line(f"{facts['count']:>6}  {facts['who']}  {facts['what']}  {facts['why']}"))
    say(f"{len(written)} entries")


def anchor(
    to: Annotated[str, typer.Option("--to", metavar="s3://BUCKET", help="A bucket with object lock; made where it is not there.")],
    keep: Annotated[str, typer.Option("--keep", metavar="DURATION", help="Nobody removes it before.")] = "3650d",
    output: OutputOption = Output.table,
) -> None:
    """Sign what the log holds now, and put that where nobody can take it away."""
    from presage.durations import parse_duration
    from presage.governance.audit import AuditLog
    from presage.governance.audit import anchor as put
    from presage.state import State

    state = State.open()
    if not (state.root / "audit").is_dir():
        raise InputError(f"{state.root / 'audit'}: there is no audit log here. Name the state that holds one with --state.")
    lasting, bucket = parse_duration(keep), _bucket(to)
    bucket.make()
    made = put(AuditLog.open(state.root / "audit"), bucket, keep=lasting, now=datetime.now(UTC))
    if output is Output.json:
        print_json({"entries": made.size, "root": made.root.hex(), "to": to})
    else:
        print(f"{made.size} entries, root {made.root.hex()[:16]}…, locked in {to}")


def _bucket(address: str) -> "LockingBucket":
    from presage import hosts
    from presage.storage.locking import LockingBucket

    hosts.install()
    return LockingBucket.open(address, os.environ)


def _document(found: "Verdict") -> dict[str, object]:
    findings = [{"code": one.code, "entry": one.entry, "fact": one.fact, "remedy": one.remedy} for one in found.findings]
    return {
        "good": found.good, "entries": found.entries, "first_wrong": found.first_wrong, "checkpoints": found.checkpoints, "anchors": found.anchors,
        "root": found.root, "findings": findings, "more": found.more, "notes": list(found.notes),
    }  # fmt: skip


def _moment(text: str) -> datetime:
    from presage.durations import parse_duration

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return datetime.now(UTC) - parse_duration(text)
        except (InputError, OverflowError):
            raise UsageError(f"--since {text[:60]!r} is no time. Write 2026-11-25, 2026-11-25T14:00, or so long ago: 7d.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _line(text: str) -> str:
    """What others had a say in, without marks that a terminal acts on."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)
