"""The same rows asked at each of the path's doors, and what each of them recorded."""

import json
import shutil
from contextlib import closing
from datetime import UTC, datetime

from inference.journal.record import Decision, Writer, names_of
from inference.journal.segments import read_segment, segments
from inference.journal.writer import Journal
from inference.path.online import OnlineFeatures
from inference.path.served import ready_release
from inference.server.exchange import HttpRequest
from inference.server.program import build_service
from presage.features.online import online_rows
from presage.features.store import open_online_store
from presage.features.windows import FeatureTable, compute
from presage.files import write_json
from presage.package.keys import Trust
from presage.package.release import verify_folder
from presage.state import State
from presage.telemetry.clock import StreamClock
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.sources import parse_source

SOURCE = "simulated:servers=4,days=3,seed=5"
URI = "presage://incident:local"


def feature_table(site):
    """Feature rows of the shared release's own fleet, every tick of them."""
    bound = site.contract.view
    telemetry = parse_source(SOURCE).read(Quarantine())
    return compute(bound, telemetry.readings.select("entity", "time", *bound.metrics), telemetry.period)


def features_folder(table, folder, ticks=None):
    """What featurize writes; ticks: of these times alone."""
    folder.mkdir(parents=True)
    rows = table.rows if ticks is None else table.rows.filter(table.rows["time"].is_in(ticks))
    rows.write_parquet(folder / "rows.parquet")
    table.ticks.write_parquet(folder / "ticks.parquet")
    write_json(folder / "features.json", {**table.bound.as_document(), "version": table.bound.version})
    return folder


def state_of(site, root):
    """A state with the shared release in its store."""
    state = State.open(root)
    shutil.copytree(site.model_dir.parent / "releases", state.releases, dirs_exist_ok=True)
    shutil.copytree(site.trust_keys, state.keys, dirs_exist_ok=True)
    return state


def rows_at(table, tick):
    """The online rows of one tick; history reaches back as far as the view's."""
    reach = table.bound.view.history * table.bound.view.tick
    ticks = table.ticks.filter(table.ticks["time"].is_between(tick - reach, tick))
    return online_rows(FeatureTable(table.bound, table.rows.filter(table.rows["time"] == tick), ticks), tick)


def decisions(folder):
    """What a journal's folder holds."""
    return [record for _, path in segments(folder) for frame in read_segment(path)[1] for record in frame.records if isinstance(record, Decision)]


class Online:
    """The server's service over a store of its own; `explain` asks for reasons."""

    def __init__(self, site, folder, explain=True):
        release = ready_release(verify_folder(site.model_dir, Trust.open(site.trust_keys)))
        self.folder, self.explain, self.store_path = folder, explain, folder / "online.db"
        folder.mkdir(parents=True)
        self.release = release
        writer = Writer(release.name, release.version, release.digest, release.region, **names_of(release.contract))
        self.journal = Journal.open(folder / "journal", writer)
        self.online = OnlineFeatures(f"sqlite:{self.store_path}", "incident")
        self.service = build_service(release, self.journal, self.online, "incident")
        self.service.ready = True

    def close(self):
        self.journal.close()
        self.online.close()

    def apply(self, table, tick):
        """The store as the feature refresh leaves it after `tick`."""
        rows = rows_at(table, tick)
        with closing(open_online_store(f"sqlite:{self.store_path}")) as store:
            store.put_service("incident", table.bound, SOURCE, StreamClock(tick.timestamp(), datetime.now(UTC).timestamp(), 1.0))
            store.write("incident", rows)
        return [row.entity for row in rows]

    def ask(self, **document):
        body = json.dumps({**document, "explain": self.explain}).encode()
        response = self.service.handle(HttpRequest("POST", "/api/v2/predict", {}, body))
        return response.status, json.loads(response.body)

    def decisions(self):
        return decisions(self.folder / "journal")


CELLS = (
    "server", "feature_version", "feature_time", "score", "risk", "low", "high", "tier", "rung", "because", "used", "warming", "clipped", "distance", "doubts",
    "reasons",
)  # fmt: skip


def cells(decision):
    """What every door must agree on, bit by bit."""
    return tuple(repr(getattr(decision, name)) for name in CELLS)


def by_row(found):
    """(server, tick) → cells; fails where a row was decided twice."""
    table = {(decision.server, decision.feature_time): cells(decision) for decision in found}
    assert len(table) == len(found), "a row was decided twice"
    return table
