"""Several lives of a log and of whoever reads it, in any order: no denial is counted twice, and only what a log took with it is not told."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from builders.kills import Killed, killing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presage.governance.audit import gathering, read_entries
from presage.governance.audit.cadence import Cadence
from presage.governance.audit.gathering import Gathering

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)), st.tuples(st.just("bring"), st.integers(0, 9)), st.tuples(st.just("torn"), st.just(0)),
        st.tuples(st.sampled_from(["restart", "rename", "empty", "unlink"]), st.just(0)), st.tuples(st.just("wait"), st.integers(1, 90)),
    ),
    min_size=3, max_size=25,
)  # fmt: skip


@pytest.mark.long
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_over_all_lives_nothing_is_counted_twice_and_only_what_a_log_took_with_it_is_lost(tmp_path_factory, steps):
    folder = tmp_path_factory.mktemp("lives")
    log, clock, left = folder / "gateway.access.log", [0.0], [0]

    def reader():
        return Gathering(folder / "denials", folder / "audit", cadence=Cadence(lambda: clock[0]))

    def told() -> list[str]:
        return [entry.facts["who"] for entry in read_entries(folder / "audit")] if (folder / "audit").is_dir() else []

    made, in_log, losable, n = reader(), [], set(), 0
    wrote: list[str] = []
    with killing(left, (gathering.AuditLog, "append"), (gathering, "write_place")):
        for kind, value in steps:
            if kind == "write":
                for _ in range(value):
                    n += 1
                    who = f"spiffe://x/{n}"
                    line = {"time": f"t{n}", "method": "GET", "path": "/v2", "code": 403, "principal": who, "request_id": os.urandom(4).hex()}
                    content = json.dumps(line | {"details": "rbac_access_denied_matched_policy[none]"}).encode() + b"\n"
                    with log.open("ab") as handle:
                        handle.write(content)
                    wrote.append(who)
                    in_log.append(who)
            elif kind == "torn":
                with log.open("ab") as handle:
                    handle.write(b'{"code": 403, "details": "rbac_acc')
                made.bring([log], at=AT)  # a line without its end waits
                with log.open("ab") as handle:
                    handle.write(b"\n")
            elif kind == "bring":
                left[0] = value
                try:
                    made.bring([log], at=AT)
                except Killed:
                    made = reader()
                left[0] = 0
            elif kind == "restart":
                made = reader()
            elif kind == "wait":
                clock[0] += value
            elif log.exists():  # the log takes with it whatever is not told yet
                losable |= set(in_log) - set(told())
                in_log = []
                if kind == "rename":
                    log.rename(folder / f"old.{n}.{os.urandom(3).hex()}")
                elif kind == "empty":
                    os.truncate(log, 0)
                else:
                    log.unlink()
        left[0] = 0
        with suppress(Killed):
            Gathering(folder / "denials", folder / "audit").bring([log], at=AT)
            made.bring([log], at=AT)
    entries = [entry for entry in read_entries(folder / "audit") if entry.kind == "access-denied"] if (folder / "audit").is_dir() else []
    assert sum(entry.facts["count"] for entry in entries) <= len(wrote)
    names = [entry.facts["who"] for entry in entries if entry.facts["who"].startswith("spiffe")]
    assert len(names) == len(set(names))
    if len(wrote) < 20:  # fewer than are counted together
        assert set(wrote) - losable <= set(names)
