"""Whatever is done to a log afterwards is found, without waiting for a checkpoint, and the finding names the entry."""

import shutil
from collections.abc import Callable
from datetime import datetime

import orjson
import pytest
from builders.audit_logs import AT, filled, judged
from hypothesis import given
from hypothesis import strategies as st

from presage.errors import InputError, StateError
from presage.governance.audit import Anchored, AuditKey, AuditLog, Checkpoint, accept, verification
from presage.governance.audit import log as appending

SIZE = 12


def lines_of(log: AuditLog) -> list[bytes]:
    return log.entries_path.read_bytes().splitlines(keepends=True)


def contents(log: AuditLog) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in log.folder.rglob("*") if path.is_file()}


def test_every_byte_of_the_log_turned_over_is_found(fresh):
    """Each byte of entries, head and checkpoints, once."""
    log = filled(fresh(), 5, (2,))
    files = [log.entries_path, log.folder / "tree.json", *sorted((log.folder / "checkpoints").iterdir())]
    missed = []
    for path in files:
        content = path.read_bytes()
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
            if judged(log).good:
                missed.append((path.name, at))
        path.write_bytes(content)
    assert not missed and judged(log).good and len(files) == 3


def test_a_head_that_says_the_same_in_other_bytes_is_found(copied):
    log = copied()
    path = log.folder / "tree.json"
    content = path.read_bytes()
    root = orjson.loads(content)["roots"][0].encode()
    spare = root[:-2] + bytes([root[-2] + 1]) + b"="  # base64 has two bits to spare here
    for other in (content.replace(b":", b": ", 1), content + b"\n", content.replace(root, spare)):
        path.write_bytes(other)
        assert other != content and [finding.code for finding in judged(log).findings] == ["head"]


@given(data=st.data())
def test_a_byte_that_became_any_other_is_found_and_its_entry_named(whole, copied, data):
    log = copied()
    content = log.entries_path.read_bytes()
    at, value = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 255))
    log.entries_path.write_bytes(content[:at] + bytes([value]) + content[at + 1 :])
    entry = content[:at].count(b"\n")
    verdict = judged(log)
    assert verdict.good is (value == content[at])
    if not verdict.good:  # by itself, by its neighbour's chain, or, the last one, by the head: then any since the checkpoint may be the reason
        assert verdict.first_wrong in {entry - 1, entry, *((8,) if entry == SIZE - 1 else ())}


@given(data=st.data())
def test_any_truncation_is_found(copied, data):
    log = copied()
    content = log.entries_path.read_bytes()
    bounds = [0, *(at + 1 for at in range(len(content) - 1) if content[at : at + 1] == b"\n")]
    at = data.draw(st.sampled_from(bounds) | st.integers(0, len(content) - 1))
    log.entries_path.write_bytes(content[:at])
    verdict = judged(log)
    assert not verdict.good and verdict.first_wrong == verdict.entries == content[:at].count(b"\n")
    with pytest.raises(StateError, match="its tail was cut"):
        log.append("released", "incident:12", {}, at=AT)


@given(order=st.permutations(range(SIZE)))
def test_any_permutation_is_found(copied, order):
    log = copied()
    lines = lines_of(log)
    log.entries_path.write_bytes(b"".join(lines[at] for at in order))
    verdict = judged(log)
    assert verdict.good is (order == list(range(SIZE)))
    if not verdict.good:
        assert verdict.first_wrong is not None and verdict.first_wrong <= next(at for at in range(SIZE) if order[at] != at) + 1


@given(data=st.data())
def test_any_splice_is_found(copied, data):
    """A stretch replaced by a stretch: left out, repeated, moved, put in, or forged with the right number and chain."""
    log = copied()
    lines = lines_of(log)
    begin = data.draw(st.integers(0, SIZE))
    end = data.draw(st.integers(begin, SIZE))
    forged = [line.replace(b"incident:", b"accident:") for line in lines]
    strange = [b"\n", b"{}\n", b"\x00" * 40 + b"\n", b"x" * 40_000 + b"\n", b"null\n"]
    put = data.draw(st.lists(st.sampled_from([*lines, *forged, *strange]), max_size=4))
    changed = [*lines[:begin], *put, *lines[end:]]
    log.entries_path.write_bytes(b"".join(changed))
    verdict = judged(log)
    if changed[:SIZE] == lines and len(changed) == SIZE + 1 and len(changed[-1]) < 16_000:
        assert verdict.good and verdict.entries == SIZE and verdict.notes  # what a killed process leaves too: it does not count as an entry
        assert [entry.n for entry in log.entries()] == list(range(SIZE))
    else:
        assert verdict.good is (changed == lines)


@given(at=st.integers(0, SIZE - 1), checkpoints=st.booleans())
def test_a_chain_that_was_written_anew_over_a_changed_entry_is_found(whole, copied, fresh, at, checkpoints):
    """As whoever can write the entries could, without the key."""
    log = copied()
    anew = AuditLog.open(fresh() / "audit", AuditKey.open(fresh()))
    for entry in whole.entries():
        anew.append(entry.kind, "other" if entry.n == at else entry.subject, entry.facts, at=datetime.fromisoformat(entry.at))
    shutil.copy(anew.entries_path, log.entries_path)
    if not checkpoints:
        shutil.rmtree(log.folder / "checkpoints")
    verdict = judged(log)
    good_until = max(size for size in ((0, 4, 8) if checkpoints else (0,)) if size <= at)
    assert not verdict.good and verdict.first_wrong == good_until and verdict.findings[0].code == "root"


def test_a_log_that_another_key_signed_anew_is_not_believed(whole, copied, tmp_path):
    log, other = copied(), AuditKey.open(tmp_path / "keys")
    shutil.rmtree(log.folder)
    anew = AuditLog.open(log.folder, other)
    for entry in whole.entries():
        anew.append(entry.kind, entry.subject, entry.facts, at=datetime.fromisoformat(entry.at))
    anew.checkpoint()
    assert judged(anew).good  # by its own key it is well
    verdict = judged(log)
    assert not verdict.good and {finding.code for finding in verdict.findings} == {"key"} and "signed by another key" in verdict.findings[0].fact


def _swap(log: AuditLog) -> None:
    four, eight = log.folder / "checkpoints" / "0000000004", log.folder / "checkpoints" / "0000000008"
    content = four.read_bytes()
    four.write_bytes(eight.read_bytes())
    eight.write_bytes(content)


def _of_another_root(log: AuditLog) -> None:
    (log.folder / "checkpoints" / "0000000006").write_bytes(log.key.sign(Checkpoint(6, bytes(32))))


def _with_a_second_signature(log: AuditLog) -> None:
    path = log.folder / "checkpoints" / "0000000004"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])


@pytest.mark.parametrize("do", [_swap, _of_another_root, _with_a_second_signature, lambda log: (log.folder / "checkpoints" / "other").write_bytes(b"")])
def test_checkpoints_that_were_replaced_are_found(copied, do: Callable[[AuditLog], None]):
    log = copied()
    do(log)
    assert not judged(log).good


def test_no_second_checkpoint_of_a_size_is_signed_or_taken(copied):
    log = copied()
    place = log.folder / "checkpoints" / "0000000012"
    place.write_bytes(log.key.sign(Checkpoint(12, bytes(32))))
    with pytest.raises(StateError, match="is not the checkpoint of the log's first 12 entries"):
        log.checkpoint()


def test_a_checkpoint_that_was_removed_is_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(appending, "EVERY", 4)
    monkeypatch.setattr(verification, "EVERY", 4)
    log = filled(tmp_path, 10, ())
    (log.folder / "checkpoints" / "0000000004").unlink()
    (finding,) = judged(log).findings
    assert finding.code == "checkpoint" and "of 4 entries was removed" in finding.fact


def test_what_is_anchored_while_it_is_verified_is_no_tail_that_was_cut(copied):
    log = copied()

    def meanwhile():
        log.append("released", "incident:12", {}, at=AT)
        yield Anchored("elsewhere", "0000000013", log.key.sign(log.checkpoint()))

    verdict = judged(log, meanwhile())
    assert verdict.good and (verdict.entries, verdict.anchors) == (13, 1)


def test_an_anchored_checkpoint_under_another_name_is_found(copied):
    log = copied()
    note = (log.folder / "checkpoints" / "0000000008").read_bytes()
    (finding,) = judged(log, [Anchored("elsewhere", "0000000008", note), Anchored("elsewhere", "0000000013", note)]).findings
    assert finding.code == "anchor" and "of 8 entries under another name" in finding.fact


def test_a_log_that_is_gone_is_no_log_that_is_well(copied):
    log = copied()
    shutil.rmtree(log.folder)
    assert [finding.code for finding in judged(log).findings] == ["tail"]


def test_an_append_signs_nothing_that_was_tampered_with(copied):
    """A log whose last entry, head or tail is not what was signed takes no more: a signature over it would make it good."""
    for change in (
        lambda log: log.entries_path.write_bytes(log.entries_path.read_bytes().replace(b"incident:11", b"incident:99")),
        lambda log: log.entries_path.write_bytes(log.entries_path.read_bytes() + lines_of(log)[0] + lines_of(log)[1]),
        lambda log: (log.folder / "tree.json").unlink(),
        lambda log: (log.folder / "tree.json").write_bytes(b"{}"),
        lambda log: (log.folder / "tree.json").write_bytes((log.folder / "tree.json").read_bytes().replace(b'"length":', b'"length":1')),
    ):
        log = copied()
        change(log)
        before = contents(log)
        with pytest.raises(StateError, match="presage audit verify"):
            log.append("released", "incident:12", {}, at=AT)
        assert not judged(log).good and contents(log) == before


def test_a_changed_entry_under_honest_appends_stays_found(copied):
    log = copied()
    log.entries_path.write_bytes(log.entries_path.read_bytes().replace(b"incident:3", b"incident:x"))
    for number in range(3):
        log.append("released", f"later:{number}", {}, at=AT)
    verdict = judged(log)
    assert not verdict.good and verdict.first_wrong == 3


def test_a_head_that_was_lost_can_be_accepted_and_the_log_says_so(copied):
    log = copied()
    (log.folder / "tree.json").unlink()
    (finding,) = judged(log).findings
    assert finding.code == "head" and "--accept" in finding.remedy
    assert [entry.n for entry in log.entries()] == list(range(SIZE))  # they can still be read
    with log.entries_path.open("ab") as handle:
        handle.write(b"torn" * 300)
    made = accept(log, at=AT)
    assert (made.kind, made.n, made.facts["entries"], made.facts["signed"]) == ("log-accepted", 12, 12, 8)
    verdict = judged(log)
    assert verdict.good and verdict.entries == 13 and not verdict.notes
    assert log.append("released", "incident:13", {}, at=AT).n == 13
    with pytest.raises(InputError, match="nothing to accept"):
        accept(log, at=AT)


def test_nothing_else_can_be_accepted(copied):
    log = copied()
    (log.folder / "tree.json").unlink()
    log.entries_path.write_bytes(b"".join(lines_of(log)[:6]))
    with pytest.raises(StateError, match="its tail was cut"):
        accept(log, at=AT)
    assert not (log.folder / "tree.json").exists()


def test_a_flood_of_findings_is_counted(fresh):
    log = filled(fresh(), 60, ())
    log.entries_path.write_bytes(b"x" + log.entries_path.read_bytes().replace(b"\n", b"\nx"))
    verdict = judged(log)
    assert len(verdict.findings) == 20 and verdict.more > 30 and verdict.entries == 0
