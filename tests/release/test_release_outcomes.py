"""Outcomes that became known: joined with what the real prediction log says was decided, each counted once, however the file is told and whoever is killed."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from builders.judge_process import World
from builders.logs import NOON, WRITER, decision, write_log
from builders.repositories import ROOT
from builders.traffic import Behaviour
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from presage.errors import StateError
from presage.governance.tiers import load_risk_tiers
from presage.release.judge import increment_of
from presage.release.judging import Judge
from presage.release.sources import outcomes as module
from presage.release.sources.counters import Counts
from presage.release.sources.outcomes import PATIENCE, Decided, WithOutcomes, of_log, outcome_line
from presage.release.sources.since import Seen, Since
from presage.release.standing import Canary, Standing

GOOD, BAD = (f"presage://incident:{number}@sha256:{str(number) * 64}" for number in (1, 2))
STANDING = Standing(GOOD, 2, None, Canary(BAD, 5, 1))
BEGAN = datetime.fromtimestamp(NOON, UTC)


class Quiet(World):
    """Traffic that says nothing of outcomes; `end` of the test's own decisions alone."""

    def look(self, standing, now):
        look = super().look(standing, now)
        return type(look)(look.at, *(type(arm)(arm.requests) for arm in (look.stable, look.canary)))


def outcomes(file, decisions, said=None) -> WithOutcomes:
    return WithOutcomes(Quiet(Behaviour()), file, decisions, (said if said is not None else []).append)


def begun(file, decisions, said=None) -> WithOutcomes:
    made = outcomes(file, decisions, said)
    made.begin(STANDING, BEGAN)
    return made


def counted(look) -> tuple[float, float, float, float]:
    """(stable decided, wrong, canary decided, wrong)"""
    return look.stable.decided, look.stable.wrong, look.canary.decided, look.canary.wrong


def tell(file, *told: tuple[str, bool]) -> None:
    with file.open("a") as handle:
        handle.writelines(outcome_line(name, incident=incident) for name, incident in told)


def test_a_decision_of_the_real_log_is_wrong_where_it_called_for_nothing_or_kept_silent(tmp_path):
    """The primary's and the canary's, in files of their own; a shadow's, another release's and one from before the canary came count for nobody."""
    batches = {
        "sha256:" + "1" * 64: [decision(1, tier="page"), decision(2, tier="none"), decision(3, tier="none"), decision(4, shadow_of="x", tier="page")],
        "sha256:" + "2" * 64: [decision(11, tier="watch"), decision(12, tier="none"), decision(13, time=NOON - 5, tier="page")],
        "sha256:" + "3" * 64: [decision(21, tier="page")],
    }
    for number, (release, records) in enumerate(batches.items()):
        log = write_log(tmp_path / f"{number}", records, writer=replace(WRITER, release=release))
        for path in log.rglob("*.parquet"):
            place = tmp_path / "log" / path.relative_to(log)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.rename(place)
    file = tmp_path / "outcomes.ndjson"
    source = begun(file, of_log(tmp_path / "log"))
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 0, 0)
    tell(file, *((f"id-{number}-0", True) for number in (1, 2, 4, 11, 12, 13, 21)), ("id-3-0", False))
    assert counted(source.look(STANDING, BEGAN)) == (3, 1, 2, 1)
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 0, 0)


def test_a_log_that_is_not_there_yet_is_waited_for_and_one_that_cannot_be_read_is_said(tmp_path):
    assert of_log(tmp_path / "log")(["a"]) == {}
    (tmp_path / "log" / "decisions").mkdir(parents=True)
    with pytest.raises(StateError, match="what was decided cannot be read"):
        of_log(tmp_path / "log")(["a"])


def decided(name: str, *, late: bool = False, release: str = BAD, called: bool = True) -> Decided:
    return Decided(release.partition("@")[2], called, BEGAN + timedelta(seconds=-1 if late else 1))


def test_an_outcome_waits_for_its_prediction_but_not_for_ever(tmp_path):
    file, there, said = tmp_path / "outcomes.ndjson", {}, []
    source = begun(file, lambda names: {name: there[name] for name in names if name in there}, said)
    tell(file, ("a", False), ("never", True))
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 0, 0)
    there["a"] = decided("a")
    assert counted(source.look(STANDING, BEGAN + PATIENCE / 2)) == (0, 0, 1, 1)
    assert list(source.remember()["outcomes"]["waiting"]) == ["never"]
    source.look(STANDING, BEGAN + PATIENCE)
    assert source.remember()["outcomes"]["waiting"] == {}
    assert len(said) == 1 and "1 outcomes are given up (never is one)" in said[0]


def test_a_stable_release_that_is_local_counts_as_what_it_is_bound_to_and_nobody_elses_decisions_do(tmp_path):
    """On overlay local its name has no digest; what another model of the same log decided is nobody's."""

    class Bound(Quiet):
        def bound(self, uri):
            return GOOD if uri == "presage://incident:local" else uri

    other = f"presage://other:1@sha256:{'9' * 64}"
    there = {"ours": decided("ours", release=GOOD), "theirs": decided("theirs", release=other), "new": decided("new")}
    file, standing = tmp_path / "outcomes.ndjson", Standing("presage://incident:local", 2, None, Canary(BAD, 5, 1))
    source = WithOutcomes(Bound(Behaviour()), file, lambda names: {name: there[name] for name in names}, print)
    source.begin(standing, BEGAN)
    tell(file, ("ours", True), ("theirs", True), ("new", False))
    assert counted(source.look(standing, BEGAN)) == (1, 0, 1, 1)


def test_a_line_without_an_end_is_named_and_holds_up_nothing_behind_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 1000)
    file, said = tmp_path / "outcomes.ndjson", []
    source = begun(file, lambda names: {name: decided(name) for name in names}, said)
    file.write_bytes(b"x" * 2500 + b"\n")
    tell(file, ("a", True))
    assert [counted(source.look(STANDING, BEGAN))[2] for _ in range(4)] == [0, 0, 1, 0]
    assert len(said) == 3 and all("is no outcome" in words for words in said)


def test_what_is_told_again_after_it_was_forgotten_counts_no_more(tmp_path, monkeypatch):
    """Whoever remembers less counts less: what was decided before all that is remembered is left out, told again or told late."""
    monkeypatch.setattr(module, "_KNOWN", 3)
    file = tmp_path / "outcomes.ndjson"
    when = {f"p{number}": BEGAN + timedelta(seconds=number) for number in range(8)}
    source = begun(file, lambda names: {name: Decided(BAD.partition("@")[2], True, when[name]) for name in names})
    tell(file, *((f"p{number}", True) for number in (0, 2, 3, 4, 5)))
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 5, 0)
    tell(file, ("p0", True), ("p1", True), ("p2", True), ("p4", True), ("p7", True))
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 1, 0)  # p7: p1 comes too late, and the others have been counted


class Untold(World):
    """Traffic that is well in everything that counts without being told."""

    def look(self, standing, now):
        look = super().look(standing, now)
        return type(look)(look.at, *(type(arm)(arm.requests, arm.failed, arm.seconds, arm.risks) for arm in (look.stable, look.canary)))


@pytest.mark.parametrize(("share", "kind"), [(0.1, "good"), (0.9, "revert")])
def test_outcomes_that_are_told_decide_a_step_only_where_more_of_them_are_wrong(tmp_path, share, kind):
    """Every answer calls somebody; of the stable release's one in ten for nothing, of the canary's `share`."""
    file, draw, there, told = tmp_path / "outcomes.ndjson", random.Random(3), {}, 0
    source = WithOutcomes(Untold(Behaviour()), file, lambda names: {name: there[name] for name in names}, print)
    source.begin(STANDING, BEGAN)
    plan = load_risk_tiers(ROOT / "policies" / "risk-tiers.yaml").of("low").canary
    judge, now = Judge.start(plan, soak=timedelta(minutes=10), now=BEGAN), BEGAN
    while (verdict := judge.observe(increment_of(source.look(STANDING, now)), now)).kind == "go on":
        now += timedelta(seconds=30)
        for release, count, wrong in ((GOOD, 95, 0.1), (BAD, 50, share)):
            for _ in range(count):
                told += 1
                there[f"p{told}"] = Decided(release.partition("@")[2], True, now)
                tell(file, (f"p{told}", draw.random() >= wrong))
    assert verdict.kind == kind and ("decisions are wrong more often" in verdict.because) == (kind == "revert"), verdict
    assert judge.evidence()["numbers"]["outcomes"]["pairs"] > 0


def test_what_is_no_outcome_is_named_and_left_out(tmp_path):
    file, said = tmp_path / "outcomes.ndjson", []
    source = begun(file, lambda names: {name: decided(name) for name in names}, said)
    bad = (
        "{}", '{"prediction_id": "a", "incident": 1}', '{"prediction_id": "a\'; DROP", "incident": true}', '{"prediction_id": 7, "incident": true}', "[]", "no",
    )  # fmt: skip
    file.write_text("".join(f"{line}\n" for line in bad))
    tell(file, ("good", True))
    assert counted(source.look(STANDING, BEGAN)) == (0, 0, 1, 0)
    assert len(said) == len(bad) and all(f"outcomes.ndjson: line {number}" in line for number, line in enumerate(said, start=1))


def test_nothing_that_somebody_writes_is_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", 1000)
    monkeypatch.setattr(module, "_WAITING", 3)
    file, said = tmp_path / "outcomes.ndjson", []
    source = begun(file, lambda names: {name: decided(name) for name in names if name == "good"}, said)
    file.write_text("x" * 1500 + "\n")
    tell(file, *((f"never{number}", True) for number in range(5)), ("good", True))
    looks = [counted(source.look(STANDING, BEGAN)) for _ in range(4)]
    assert sum(canary for _, _, canary, _ in looks) == 1 and "line 1 from byte 0 on is no outcome" in said[0] and any("forgotten" in words for words in said)


def test_what_was_told_before_the_canary_came_is_not_its_and_the_next_step_of_it_goes_on(tmp_path):
    file = tmp_path / "outcomes.ndjson"
    tell(file, ("old", True))
    source = begun(file, lambda names: {name: decided(name) for name in names})
    tell(file, ("a", True))
    source.begin(Standing(GOOD, 2, None, Canary(BAD, 10, 1)), BEGAN + timedelta(hours=1))  # the next share
    assert counted(source.look(STANDING, BEGAN + timedelta(hours=1))) == (0, 0, 1, 0)


def test_a_judge_goes_on_with_outcomes_from_one_that_had_none_and_the_other_way(tmp_path):
    plain, file = Since(), tmp_path / "outcomes.ndjson"
    plain.begin([Seen("canary", "ns/pod/1", Counts(10, 1, {0.1: 3.0}))])
    tell(file, ("before", True))
    source = WithOutcomes(Plain(), file, lambda names: {name: decided(name) for name in names}, print)
    source.recall(plain.remember())
    assert source.remember()["source"] == plain.remember() and counted(source.look(STANDING, BEGAN)) == (0, 0, 0, 0)
    other = Since()
    other.recall(source.remember())
    assert other.remember() == plain.remember()


class Plain(Quiet):
    """A source that remembers as the real ones do."""

    def __init__(self) -> None:
        super().__init__(Behaviour())
        self.remember, self.recall = (since := Since()).remember, since.recall


names = st.sampled_from([f"p{number}" for number in range(8)])
acts = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), names, st.booleans()), st.tuples(st.just("decide"), names), st.tuples(st.just("torn"), names),
        st.tuples(st.just("look")), st.tuples(st.just("killed")),
    ),
    max_size=30,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=acts)
def test_each_decision_is_counted_once_in_any_order_and_whoever_is_killed(tmp_path_factory, acts):
    """A look counts when it is kept with where it ended, in one file, as the judge keeps it; killed before that, the next one sees the same again."""
    file, there = tmp_path_factory.mktemp("outcomes") / "outcomes.ndjson", {}
    told: dict[str, bool] = {}

    def decisions(wanted):
        return {name: there[name] for name in wanted if name in there}

    source = begun(file, decisions)
    kept, total = source.remember(), Counter()

    def look(*, killed: bool) -> None:
        nonlocal source, kept
        found = source.look(STANDING, BEGAN)
        if killed:
            source = outcomes(file, decisions)
            source.recall(kept)
            return
        kept = source.remember()
        total.update(decided=int(found.canary.decided), wrong=int(found.canary.wrong))

    for kind, *words in [*acts, ("end",)]:
        if kind == "tell":
            tell(file, (words[0], told.setdefault(words[0], words[1])))
        elif kind == "torn":
            line = outcome_line(words[0], incident=told.setdefault(words[0], True))
            with file.open("a") as handle:
                handle.write(line[:9])
                handle.flush()
                look(killed=False)
                handle.write(line[9:])
        elif kind == "decide":
            there[words[0]] = decided(words[0], called=int(words[0][1:]) % 2 == 0)
        else:
            look(killed=kind == "killed")
    both = told.keys() & there.keys()
    assert total["decided"] == len(both) and total["wrong"] == sum(told[name] != there[name].called for name in both)
