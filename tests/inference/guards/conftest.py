"""A ready service over the shared release, with the guards that a test asks for."""

import json
import math
from dataclasses import replace

import msgspec
import pytest

from inference.journal.record import Decision, Writer
from inference.journal.segments import read_segment, segments
from inference.journal.writer import Journal
from inference.path.online import OnlineFeatures
from inference.path.served import ready_release
from inference.server.exchange import HttpRequest
from inference.server.program import build_service
from presage.package.keys import Trust
from presage.package.release import verify_folder


class Guarded:
    """ask: POST /v2/predict (its rows by name) → (status, document); decisions: what was recorded."""

    def __init__(self, site, folder, guards, **changed):
        release = ready_release(verify_folder(site.model_dir, Trust.open(site.trust_keys)))
        terms = msgspec.structs.replace(release.terms, guards=msgspec.structs.replace(release.terms.guards, **guards))
        self.release = replace(release, terms=terms, **changed)
        self.names = self.release.input_names
        self.folder = folder
        self.journal = Journal.open(folder, Writer("incident", "1", "sha256:0", "eu"))
        self.online = OnlineFeatures(f"sqlite:{site.online_store}", "incident")
        self.service = build_service(self.release, self.journal, self.online, "incident")
        self.service.ready = True

    def ask(self, **document):
        response = self.service.handle(HttpRequest("POST", "/api/v2/predict", {}, json.dumps(document).encode()))
        return response.status, json.loads(response.body)

    def row(self, x):
        return {name: float(value) for name, value in zip(self.names, x, strict=True) if not math.isnan(value)}

    def decisions(self):
        return [record for _, path in segments(self.folder) for frame in read_segment(path)[1] for record in frame.records if isinstance(record, Decision)]

    def close(self):
        self.journal.close()
        self.online.close()


@pytest.fixture
def guarded(serving_site, tmp_path):
    opened = []

    def build(changed=None, **guards):
        opened.append(Guarded(serving_site, tmp_path / f"journal-{len(opened)}", {"replayed_per_minute": 10**9, **guards}, **(changed or {})))
        return opened[-1]

    yield build
    for one in opened:
        one.close()
