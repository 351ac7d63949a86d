"""Each deletion has exactly one entry, whenever the program was killed; nothing is half gone, and nothing else is touched."""

from datetime import timedelta

import pytest
from builders.audit_logs import judged
from builders.retention import NOW, Killed, Shelf, hold, item, killing, terms
from hypothesis import given, settings
from hypothesis import strategies as st

from presage.errors import StateError
from presage.governance.audit import AuditLog
from presage.governance.retention import applying
from presage.governance.retention.applying import apply
from presage.governance.retention.deciding import plan
from presage.governance.retention.journal import Journal
from presage.governance.retention.verifying import Verified, verify


def clock():
    return NOW


class Place:
    """A state directory, and a shelf beside it; effects: where a kill may come."""

    def __init__(self, root, given_items):
        self.root, self.items = root, given_items
        self.shelf = Shelf(root / "shelf", given_items).fill()

    def go(self, monkeypatch, kill_at=0, by=None, **options):
        """One run, killed before or after the kill_at-th effect; whether it came to its end."""
        effect = killing(kill_at)
        self.shelf.effect = effect
        log, journal = AuditLog.open(self.root / "audit"), Journal(self.root / "retention")
        with monkeypatch.context() as patched:
            for kind, name in ((AuditLog, "append"), (Journal, "begin"), (Journal, "end")):
                patched.setattr(kind, name, _told(getattr(kind, name), effect))
            try:
                return apply([self.shelf], by or terms(), log, journal, clock, **options)
            except Killed:
                return None

    def deletions(self):
        return [entry.subject for entry in AuditLog.open(self.root / "audit").entries()]

    def findings(self, by=None, now=NOW):
        found = verify([self.shelf], by or terms(), self.root / "audit", Journal(self.root / "retention"), now=now, tolerance=timedelta(0), counted=Verified())
        return list(found)


def _told(real, effect):
    def call(*given, **named):
        effect("before")
        done = real(*given, **named)
        effect("after")
        return done

    return call


def whole(names):
    return {name for one in names for name in (one, f"{one}.part")}


ITEMS = [item("young", 10), item("one", 91), item("two", 400), item("three", 5000), item("rota", 300, model="rota")]


def test_what_is_due_goes_whole_and_is_told_of_once(tmp_path, monkeypatch):
    place = Place(tmp_path, ITEMS)
    outcome = place.go(monkeypatch)
    assert (outcome.deleted, outcome.finished, outcome.more) == (3, None, False)
    assert place.shelf.left() == whole(["young", "rota"])
    assert place.deletions() == [f"prediction-log/{name}" for name in ("one", "two", "three")]
    assert place.go(monkeypatch).deleted == 0 and len(place.deletions()) == 3 and place.findings() == []


def test_an_entry_says_what_when_and_by_which_rule_and_nothing_of_what_it_held(tmp_path, monkeypatch):
    place = Place(tmp_path, [item("one", 91, bytes=17)])
    place.go(monkeypatch)
    (entry,) = AuditLog.open(tmp_path / "audit").entries()
    facts = dict(entry.facts)
    assert (entry.kind, entry.subject, entry.at) == ("retention-deleted", "prediction-log/one", "2026-11-26T12:00:00.000+00:00")
    assert {name: facts[name] for name in ("rule", "kept", "born", "due", "tier", "region", "bytes", "policy")} == {
        "rule": "RET-2", "kept": "90d", "born": "2026-08-27T12:00:00.000+00:00", "due": "2026-11-25T12:00:00.000+00:00", "tier": "low",
        "region": "eu-central", "bytes": 17, "policy": terms().digest,
    }  # fmt: skip
    assert "says" not in str(facts) and str(facts["content"]).startswith("sha256:")
    assert judged(AuditLog.open(tmp_path / "audit")).good


def test_a_kill_before_or_after_any_effect_ends_in_the_same_state(tmp_path, monkeypatch):
    """One kill, at each place; then a run that comes through."""
    reference = Place(tmp_path / "reference", ITEMS)
    reference.go(monkeypatch)
    kill_at, killed = 0, True
    while killed:
        kill_at += 1
        place = Place(tmp_path / str(kill_at), ITEMS)
        killed = place.go(monkeypatch, kill_at) is None
        told = place.deletions()
        assert all(not place.shelf.left() & whole([subject.partition("/")[2]]) for subject in told), "told of, and still there"
        place.go(monkeypatch)
        assert place.shelf.left() == reference.shelf.left()
        assert sorted(place.deletions()) == sorted(reference.deletions())
        assert place.findings() == [] and judged(AuditLog.open(place.root / "audit")).good
        assert sorted(place.shelf.removed) == sorted(set(place.shelf.removed)), "removed twice"
    assert kill_at > 3 * 8


@settings(max_examples=15)
@given(
    ages=st.lists(st.integers(0, 900), min_size=1, max_size=6), kills=st.lists(st.integers(1, 25), max_size=5),
    slices=st.lists(st.integers(1, 3), min_size=6, max_size=6),
)  # fmt: skip
def test_in_slices_and_killed_again_and_again_also_while_it_recovers(tmp_path_factory, ages, kills, slices):
    place = Place(tmp_path_factory.mktemp("place") / "state", [item(f"i{number}", age) for number, age in enumerate(ages)])
    due = {f"prediction-log/{decision.item.id}" for decision in plan(place.items, terms(), NOW) if decision.verdict == "due"}
    patching = pytest.MonkeyPatch()
    for kill_at, at_most in zip(kills, slices, strict=False):
        place.go(patching, kill_at, at_most=at_most)
        assert set(place.deletions()) <= due
    while place.go(patching, at_most=slices[-1]).more:
        pass
    assert sorted(place.deletions()) == sorted(due)
    assert place.shelf.left() == whole({one.id for one in place.items} - {subject.partition("/")[2] for subject in due})
    assert place.findings() == []


def test_a_hold_that_comes_while_nothing_is_gone_yet_wins_over_what_was_begun(tmp_path, monkeypatch):
    place = Place(tmp_path, [item("one", 400)])
    assert place.go(monkeypatch, kill_at=2) is None  # its intent is on the disk, and nothing has happened
    assert [one.code for one in place.findings()] == ["unfinished", "overdue"]
    held = terms(hold(models=["incident"]))
    assert place.go(monkeypatch, by=held).deleted == 0
    assert place.shelf.left() == whole(["one"]) and place.deletions() == [] and place.findings(held) == []


def test_what_is_half_gone_when_a_hold_comes_is_finished_and_told_by_the_rule_that_held_then(tmp_path, monkeypatch):
    place, before = Place(tmp_path, [item("one", 400)]), terms()
    assert place.go(monkeypatch, kill_at=4) is None
    assert place.shelf.left() == {"one"}
    outcome = place.go(monkeypatch, by=terms(hold(models=["incident"])))
    assert outcome.finished == "prediction-log/one" and outcome.deleted == 0 and place.shelf.left() == set()
    (entry,) = AuditLog.open(tmp_path / "audit").entries()
    assert entry.facts["policy"] == before.digest and place.findings() == []


def test_where_the_log_cannot_be_written_no_second_thing_goes(tmp_path, monkeypatch):
    place = Place(tmp_path, ITEMS)

    def full(*given, **named):
        raise StateError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        with pytest.raises(StateError, match="no space"):
            apply([place.shelf], terms(), AuditLog.open(tmp_path / "audit"), Journal(tmp_path / "retention"), clock)
        with pytest.raises(StateError, match="no space"):
            apply([place.shelf], terms(), AuditLog.open(tmp_path / "audit"), Journal(tmp_path / "retention"), clock)
    assert place.shelf.left() == whole(["young", "rota", "two", "three"]) and next(one.code for one in place.findings()) == "unfinished"
    assert place.go(monkeypatch).finished == "prediction-log/one"
    assert len(place.deletions()) == 3 and place.findings() == []


def test_where_the_store_of_what_was_begun_is_not_named_it_says_so(tmp_path, monkeypatch):
    place = Place(tmp_path, [item("one", 400)])
    place.go(monkeypatch, kill_at=4)
    with pytest.raises(StateError, match="a deletion of prediction-log/one is under way, and that store was not named"):
        apply([], terms(), AuditLog.open(tmp_path / "audit"), Journal(tmp_path / "retention"), clock)


def test_what_somebody_touches_meanwhile_is_left_and_not_told_of(tmp_path, monkeypatch):
    place = Place(tmp_path, [item("one", 400)])
    monkeypatch.setattr(place.shelf, "remove", lambda id, prepared: False, raising=False)
    assert place.go(monkeypatch).deleted == 0 and place.deletions() == [] and not (tmp_path / "retention" / "intent.json").exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rule": "RET-3"}, "rule"), ({"kept": "30d"}, "rule"), ({"due": "2026-11-20T12:00:00.000+00:00"}, "rule"), ({"tier": "high"}, "rule"),
        ({"born": "2026-11-01T12:00:00.000+00:00", "due": "2027-01-30T12:00:00.000+00:00"}, "early"),
        ({"begun": "2026-11-25T11:59:59.000+00:00"}, "early"), ({"policy": "sha256:" + "0" * 64}, "terms"), ({"born": "long ago"}, "entry"),
        ({"deletion": "none"}, "entry"), ({"tier": "vast"}, "entry"),
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_was_not_right_is_found_from_the_entry_alone(tmp_path, monkeypatch, changes, code):
    place = Place(tmp_path, [item("one", 91)])
    place.go(monkeypatch)
    log = AuditLog.open(tmp_path / "audit")
    (entry,) = log.entries()
    log.append("retention-deleted", "prediction-log/other", {**entry.facts, "deletion": "sha256:" + "1" * 64, **changes}, at=NOW)
    assert code in {one.code for one in place.findings()}
    assert {one.subject for one in place.findings()} == {"prediction-log/other"}


def test_a_deletion_against_a_hold_and_one_that_is_told_twice_are_found(tmp_path, monkeypatch):
    place, held = Place(tmp_path, [item("one", 91)]), terms(hold(models=["incident"]))
    place.go(monkeypatch)
    Journal(tmp_path / "retention").keep(held)
    log = AuditLog.open(tmp_path / "audit")
    (entry,) = log.entries()
    log.append("retention-deleted", entry.subject, {**entry.facts, "policy": held.digest}, at=NOW)
    assert {one.code for one in place.findings()} == {"twice", "held"}


def test_overdue_is_what_waits_longer_than_it_may(tmp_path):
    place = Place(tmp_path, [item("one", 91)])
    counted = Verified()

    def found(days):
        return [one.code for one in verify([place.shelf], terms(), tmp_path / "audit", Journal(tmp_path / "retention"), now=NOW,
                                           tolerance=timedelta(days=days), counted=counted)]  # fmt: skip

    assert (found(2), found(1)) == ([], ["overdue"]) and counted.overdue == 1 and applying.KIND == "retention-deleted"
