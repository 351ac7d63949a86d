"""Access denials at the edges: logs that were emptied and grew again, kills between two lives of a log, calls of gRPC, new kinds within a trickle."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from presage.governance.audit import gathering, read_entries
from presage.governance.audit.denials import denial_of
from presage.governance.audit.gathering import gather

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
CHECKOUT = "spiffe://cluster.local/ns/shop/sa/checkout"
INGRESS = "spiffe://cluster.local/ns/gateway/sa/presage-istio"


def denied(n: int, **fields) -> dict:
    usual = {"time": f"2026-11-26T09:00:{n:02}.000Z", "method": "GET", "path": "/v2", "code": 403, "principal": CHECKOUT}
    return usual | {"details": "rbac_access_denied_matched_policy[none]", "cluster": "", "request_id": f"r{n}"} | fields


def text(*lines: dict) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def place(tmp_path):
    log = tmp_path / "gateway.access.log"

    def bring() -> int:
        return sum(entry.facts["count"] for entry in gather([log], tmp_path / "denials", tmp_path / "audit", at=AT))

    return log, bring, tmp_path


def total(folder) -> int:
    return sum(entry.facts["count"] for entry in read_entries(folder / "audit") if entry.kind == "access-denied")


def test_a_log_that_was_emptied_and_has_grown_past_the_old_place_is_read_from_its_beginning(place):
    log, bring, _ = place
    log.write_text(text(denied(1), denied(2)))
    assert bring() == 2
    log.write_text(text(*(denied(n) for n in range(10, 16))))  # the same inode, longer than before
    assert bring() == 6


def test_a_kill_while_an_emptied_log_is_told_loses_nothing(place):
    """Its first part begins at 0 as the one of before did, and has the same inode, name and kinds."""
    log, bring, folder = place
    log.write_text(text(denied(1), denied(2), denied(3)))
    assert bring() == 3
    log.write_text(text(denied(9)))

    class Killed(BaseException):
        pass

    def killed(*_, **__):
        raise Killed

    append = gathering.AuditLog.append
    gathering.AuditLog.append = killed
    try:
        with suppress(Killed):
            bring()
    finally:
        gathering.AuditLog.append = append
    bring()
    assert total(folder) == 4


def test_a_denied_call_of_grpc_is_a_denial_though_it_is_answered_200():
    assert denial_of(denied(1, code=200, method="POST")) is not None


def test_a_request_through_the_gateway_is_told_once_though_both_proxies_log_it(tmp_path):
    logs = [tmp_path / "gateway.access.log", tmp_path / "sidecar.access.log"]
    for code, details in ((403, "rbac_access_denied_matched_policy[none]"), (429, "local_rate_limited")):
        behind = {"code": code, "cluster": "outbound|80||incident-predictor.models-network.svc.cluster.local", "details": "via_upstream"}
        with logs[0].open("a") as gateway, logs[1].open("a") as sidecar:
            gateway.write(text(denied(1, **behind)))
            sidecar.write(text(denied(1, code=code, details=details, principal=INGRESS)))
    told = gather(logs, tmp_path / "denials", tmp_path / "audit", at=AT)
    assert [(entry.facts["who"], entry.facts["count"]) for entry in told] == [(CHECKOUT, 1), (CHECKOUT, 1)]


def test_whom_a_bad_certificate_names_is_not_told_as_if_it_were_proved():
    refused = {"refused": "connection", "sni": "incident.example", "principal": CHECKOUT, "time": "2026-11-26T09:00:00.000Z"}
    reason = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:_unable_to_get_local_issuer_certificate:TLS_error_end"
    assert denial_of(refused | {"details": reason}).who != CHECKOUT


def test_junk_of_one_caller_hides_no_other_caller(place):
    log, bring, folder = place
    junk = [denied(1, path=f"/{n}", principal="spiffe://x/junk") for n in range(500)]
    log.write_text(text(*junk, denied(2, path="/metrics")))
    assert bring() == 501
    assert CHECKOUT in {entry.subject for entry in read_entries(folder / "audit")}
