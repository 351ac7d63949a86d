"""The stream's consumer: every entity at every tick once, as online cell by cell, whatever is killed in between."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx2
import msgspec
import pytest
from builders.doors import Online, by_row, decisions, feature_table, rows_at
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inference.journal.levels import open_journal
from inference.journal.once import OnceJournal, Unfinished, recorded
from inference.journal.record import Writer
from inference.journal.ship import ship
from inference.path.inside import Inside, RunClock
from inference.path.served import ready_release
from inference.stream.scorer import StreamScorer, prediction_id
from inference.stream.topics import AgedTopic, FeatureTopic, ScoredEvent
from presage.events.log import open_event_log
from presage.package.keys import Trust
from presage.package.release import verify_folder

HOURS = 3600.0


@pytest.fixture(scope="module")
def table(serving_site):
    return feature_table(serving_site)


@pytest.fixture(scope="module")
def ticks(table):
    return sorted(table.rows["time"].unique().sort()[380:392])


class Consumer:
    """A scorer over the files in `folder`, as a process would have it; `keep` seconds of event time."""

    def __init__(self, site, folder, keep=24 * HOURS, explain=True):
        clock = RunClock()
        release = ready_release(verify_folder(site.model_dir, Trust.open(site.trust_keys)), clock=clock)
        unfinished = Unfinished(folder / "journal")
        known = recorded(folder / "journal")
        writer = Writer(release.name, release.version, release.digest, release.region)
        self.journal = OnceJournal(open_journal("process", folder / "journal", writer), known)
        self.features, self.output = (open_event_log(str(folder / "events"), topic, partitions=4) for topic in ("features", "scored"))
        self.inside = Inside(release, self.journal, "stream", clock=clock, explain=explain)
        self.scorer = StreamScorer(self.inside, self.features, self.output, "score", keep, told=unfinished.finished)

    def all(self):
        while self.scorer.step():
            pass

    def close(self):
        for thing in (self.journal, self.features, self.output):
            thing.close()


@pytest.fixture
def street(serving_site, tmp_path):
    """tell: publish a tick's rows as the refresh does; consumer: a fresh one over what lies there; scored: the output topic."""

    class Street:
        def __init__(self):
            self.opened = []
            self.log = open_event_log(str(tmp_path / "events"), "features", partitions=4)
            self.topic = FeatureTopic(self.log, 6 * HOURS)

        def tell(self, rows):
            self.topic.publish(rows)

        def consumer(self, **options):
            self.opened.append(Consumer(serving_site, tmp_path, **options))
            return self.opened[-1]

        def scored(self):
            with closing(open_event_log(str(tmp_path / "events"), "scored", partitions=4)) as log:
                events = [event for part in range(4) for event in log.read(part, 0, limit=100_000)]
            return [msgspec.msgpack.decode(event.value, type=ScoredEvent).prediction for event in events]

        def decisions(self):
            return decisions(tmp_path / "journal")

    made = Street()
    yield made
    made.log.close()
    for consumer in made.opened:
        with contextlib.suppress(Exception):
            consumer.close()


def test_every_entity_at_every_tick_is_answered_as_online_cell_by_cell(serving_site, table, ticks, street, tmp_path):
    online = Online(serving_site, tmp_path / "online")
    for tick in ticks:
        online.ask(servers=online.apply(table, tick))
        street.tell(rows_at(table, tick))
    expected = by_row(online.decisions())
    online.close()
    street.consumer().all()
    assert by_row(street.decisions()) == expected and len(expected) == 4 * len(ticks)
    for prediction in street.scored():
        cells = expected[prediction.entity, prediction.time]
        values = (prediction.score, prediction.risk, prediction.low, prediction.high, prediction.tier, prediction.rung, prediction.because, prediction.used)
        assert tuple(map(repr, values)) == cells[3:11]
        reasons = [(feature, contribution) for feature, _, contribution, _ in prediction.reasons]
        assert (repr(prediction.distance), repr(prediction.doubts), repr(reasons)) == cells[13:]
    assert len(street.scored()) == len(expected)


def test_an_id_follows_from_entity_tick_and_release(serving_site, table, ticks, street):
    street.tell(rows_at(table, ticks[0]))
    consumer = street.consumer()
    consumer.all()
    release = consumer.inside.release.digest
    for prediction in street.scored():
        assert prediction.prediction_id == f"{prediction_id(prediction.entity, prediction.time, release)}-0"
        assert prediction.release == release
    assert len({prediction.prediction_id for prediction in street.scored()}) == 4


def test_a_tick_that_is_told_again_counts_once(table, ticks, street):
    consumer = street.consumer()
    for tick in (ticks[0], ticks[0], ticks[1]):
        street.tell(rows_at(table, tick))
        consumer.all()
    street.tell(rows_at(table, ticks[1]))
    consumer.close()
    street.consumer().all()
    assert len(street.scored()) == len(street.decisions()) == 8


class Dies:
    """A log on which one call is the last thing that a process does."""

    def __init__(self, log, last):
        self._log, self._last = log, last

    def __getattr__(self, name):
        if name == self._last:
            raise KeyboardInterrupt
        return getattr(self._log, name)


@pytest.mark.parametrize("where", ["before the output", "before the commit"])
def test_what_was_recorded_is_not_recorded_again_and_what_was_told_is_not_told_again(table, ticks, street, where):
    """The process dies between two of journal, output and commit."""
    for tick in ticks[:3]:
        street.tell(rows_at(table, tick))
    first = street.consumer()
    if where == "before the output":
        first.scorer._output = AgedTopic(Dies(first.output, "append"), 24 * HOURS)
    else:
        first.scorer._features = Dies(first.features, "commit")
    with pytest.raises(KeyboardInterrupt):
        first.all()
    assert street.decisions() and len(street.scored()) == (0 if where == "before the output" else len(street.decisions()))
    first.close()
    street.consumer().all()
    assert len(street.decisions()) == len({decision.prediction_id for decision in street.decisions()}) == 12
    assert len(street.scored()) == len({prediction.prediction_id for prediction in street.scored()}) == 12


class Mortal:
    """What a process does to `inner`, counted over all that it touches: the call after the last one that is left to it never happens."""

    def __init__(self, inner, left, calls):
        self._inner, self._left, self._calls = inner, left, calls

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if name not in self._calls:
            return found

        def call(*arguments):
            if not self._left:
                raise KeyboardInterrupt
            self._left.pop()
            return found(*arguments)

        return call


@given(deaths=st.lists(st.integers(0, 5), max_size=5))
@example(deaths=[1, 1])  # a run half recorded, gone on with and not told, and what was recorded first was shipped meanwhile
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_over_any_row_of_lives_each_prediction_is_in_the_log_once(serving_site, table, ticks, tmp_path_factory, deaths):
    """Each life ends after so many writes to journal, output and offsets; the shipper, which outlives it, ships what it left."""
    folder = tmp_path_factory.mktemp("lives")
    with closing(open_event_log(str(folder / "events"), "features", partitions=4)) as log:
        for tick in ticks[:3]:
            FeatureTopic(log, 6 * HOURS).publish(rows_at(table, tick))
    for writes in [*deaths, 1000]:
        left = [None] * writes
        consumer = Consumer(serving_site, folder, explain=False)
        consumer.journal._journal = Mortal(consumer.journal._journal, left, ["append"])
        consumer.scorer._output = AgedTopic(Mortal(consumer.output, left, ["append"]), 24 * HOURS)
        consumer.scorer._features = Mortal(consumer.features, left, ["commit"])
        with contextlib.suppress(KeyboardInterrupt):
            consumer.all()
        consumer.close()
        ship(folder / "journal", folder / "log")
    ids = logged(folder)
    assert len(ids) == len(set(ids)) == 12
    with closing(open_event_log(str(folder / "events"), "scored", partitions=4)) as log:
        told = [msgspec.msgpack.decode(event.value, type=ScoredEvent).prediction for part in range(4) for event in log.read(part, 0, limit=100)]
    assert sorted(prediction.prediction_id for prediction in told) == sorted(ids)


def test_events_that_are_no_rows_are_counted_and_passed_over(table, ticks, street):
    street.log.append([("web-01", b"\x93no row"), ("web-02", msgspec.msgpack.encode(("web-02", 1.0, b"short")))])
    street.tell(rows_at(table, ticks[0]))
    consumer = street.consumer()
    consumer.all()
    assert consumer.scorer.dead == 2 and len(street.scored()) == 4


def test_rows_that_were_forgotten_before_they_were_read_are_counted(table, ticks, street):
    consumer = street.consumer()
    for tick in ticks[:4]:
        street.tell(rows_at(table, tick))
    street.log.trim({part: following - 1 for part, (_, following) in street.log.bounds().items() if following})
    consumer.all()
    left = sum(following - first for first, following in street.log.bounds().values())
    assert consumer.scorer.missed == 16 - left == 16 - len(street.scored())


def test_a_topic_forgets_by_event_time(street):
    topic = AgedTopic(street.log, keep=600.0)
    for minute in range(0, 60, 5):
        topic.append(60.0 * minute, [("a", str(minute).encode())])
    [part] = [part for part, (first, following) in street.log.bounds().items() if following]
    kept = [int(event.value) for event in street.log.read(part, 0)]
    assert kept == [45, 50, 55]


def test_rows_of_another_feature_version_are_answered_below_the_models(table, ticks, street):
    from dataclasses import replace

    street.tell([replace(row, version="0" * 16) for row in rows_at(table, ticks[0])])
    street.consumer().all()
    assert {prediction.rung for prediction in street.scored()} <= {"rules", "default"}
    assert all("feature" in prediction.because for prediction in street.scored())


class Process:
    """`python -m inference.stream.score` over the files in `folder`."""

    def __init__(self, site, folder, *options):
        arguments = [f"--model_dir={site.model_dir}", f"--trust_keys={site.trust_keys}", f"--event_log={folder / 'events'}",
                     f"--journal_dir={folder / 'journal'}", f"--prediction_log={folder / 'log'}", "--http_port=0", "--ship_seconds=0.2", *options]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inference.stream.score", *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        assert self.process.stderr is not None
        self.said = self.process.stderr.readline()
        found = re.search(r"http://\S+", self.said)
        self.address = found[0] if found else ""

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stderr.close()
        return code


def logged(folder):
    import polars as pl

    files = sorted((folder / "log" / "decisions").rglob("*.parquet"))
    return [one for path in files for one in pl.read_parquet(path, columns=["prediction_id"])["prediction_id"]]


def count(folder):
    """Events in the output topic so far."""
    with closing(open_event_log(str(folder / "events"), "scored", partitions=4)) as log:
        return sum(following for _, following in log.bounds().values())


def wait_for(done, seconds=60.0):
    """Look until it is so; the consumer tells nobody."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.long
def test_killed_again_and_again_it_scores_every_row_once(serving_site, table, street, tmp_path):
    """SIGKILL at random moments while rows come in."""
    chance = random.Random(5)
    every = sorted(table.rows["time"].unique().sort()[300:340])
    told = 0
    for _ in range(5):
        process = Process(serving_site, tmp_path)
        assert process.address, process.said
        before = count(tmp_path)
        for tick in every[told : told + 8]:
            street.tell(rows_at(table, tick))
        told += 8
        aim = before + chance.randrange(1, 24)
        wait_for(lambda aim=aim: count(tmp_path) >= aim)
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    process = Process(serving_site, tmp_path)
    wait_for(lambda: count(tmp_path) >= 4 * told)
    assert "presage_tier_total" in httpx2.get(process.address + "/metrics").text
    assert httpx2.get(process.address + "/v2/health/ready").status_code == 200
    assert process.stop() == 0
    ids = [prediction.prediction_id for prediction in street.scored()]
    assert len(ids) == len(set(ids)) == 4 * told
    assert sorted(logged(tmp_path)) == sorted(ids)


def test_an_altered_release_is_refused(serving_site, tmp_path):
    import shutil

    folder = tmp_path / "models"
    shutil.copytree(serving_site.model_dir, folder)
    victim = next(folder.rglob("model.onnx"))
    victim.chmod(0o600)
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    done = subprocess.run(
        [sys.executable, "-m", "inference.stream.score", f"--model_dir={folder}", f"--trust_keys={serving_site.trust_keys}", f"--event_log={tmp_path / 'e'}",
         f"--journal_dir={tmp_path / 'j'}", f"--prediction_log={tmp_path / 'l'}", "--http_port=0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith("refused (")


def test_wrong_usage_is_one_sentence():
    done = subprocess.run([sys.executable, "-m", "inference.stream.score"], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
