"""A kind of denial is new at each proxy."""

import json
from datetime import UTC, datetime

from presage.governance.audit.cadence import Cadence
from presage.governance.audit.gathering import Gathering

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)


def test_the_same_denial_at_another_proxy_is_told_at_once_too(tmp_path):
    now = [0.0]
    gathering = Gathering(tmp_path / "denials", tmp_path / "audit", cadence=Cadence(lambda: now[0]))
    denied = {"time": "t", "method": "GET", "path": "/v2", "code": 403, "principal": "spiffe://x/y"}
    line = json.dumps(denied | {"details": "rbac_access_denied_matched_policy[none]"})
    for name in ("a", "b"):
        (tmp_path / f"{name}.access.log").write_text(line + "\n")
        now[0] += 2
        told = gathering.bring(sorted(tmp_path.glob("*.access.log")), at=AT)
        assert [entry.facts["log"] for entry in told] == [f"{name}.access.log"]
