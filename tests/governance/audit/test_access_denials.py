"""Access denials in the audit log: Envoy's words told in ours, a flood is a few entries, and each denial is counted once whoever is killed when."""

import io
import json
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from builders.kills import Killed, killing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from presage.cli import main
from presage.governance.audit import gathering, read_entries
from presage.governance.audit.cadence import BUDGET, Cadence
from presage.governance.audit.denials import FEW, GATEWAY, MOST, NAMELESS, NOBODY, OTHER_CLAIMS, OTHER_PATHS, OTHERS, UNNAMED, Groups, denial_of
from presage.governance.audit.gathering import Gathering, gather

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
CHECKOUT = "spiffe://cluster.local/ns/shop/sa/checkout"
TLS = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:{}:TLS_error_end"
LIMITED = "the program itself answered 429 (over a limit, or replayed)"
DENIED = {"code": 403, "details": "rbac_access_denied_matched_policy[none]"}


def line(**fields) -> dict:
    """A request that was answered, but for `fields`."""
    usual = {"time": "2026-11-26T09:00:00.000Z", "method": "POST", "path": "/predict", "code": 200, "details": "via_upstream", "principal": CHECKOUT}
    return usual | {"cluster": "outbound|80||incident-predictor.models-network.svc.cluster.local"} | fields


def connection(reason: str, **fields) -> dict:
    return {"time": "2026-11-26T09:00:00.000Z", "refused": "connection", "details": TLS.format(reason), "sni": "incident.example", "principal": None} | fields


@pytest.mark.parametrize(
    ("found", "who", "what", "why"),
    [
        (line(code=403, details="rbac_access_denied_matched_policy[none]"), CHECKOUT, "POST /predict", "no rule allows it"),
        (line(code=403, details="rbac_access_denied_matched_policy[ns[a]-policy[deny]-rule[0]]"), CHECKOUT, "POST /predict",
         "the rule ns[a]-policy[deny]-rule[0] forbids it"),
        (line(code=401, details="jwt_authn_access_denied{Jwt_is_expired}"), CHECKOUT, "POST /predict", "token: Jwt is expired"),
        (line(code=429, details="local_rate_limited"), CHECKOUT, "POST /predict", "over its limit"),
        (line(code=200, details="rbac_access_denied_matched_policy[none]"), CHECKOUT, "POST /predict", "no rule allows it"),  # gRPC
        (line(code=200, details="jwt_authn_access_denied{Jwt_is_missing}"), CHECKOUT, "POST /predict", "token: Jwt is missing"),
        (line(code=200, details="local_rate_limited"), CHECKOUT, "POST /predict", "over its limit"),
        (line(code=200, details="rbac_access_denied_matched_policy[none]", principal=GATEWAY, cluster="inbound|8081||"), GATEWAY, "POST /predict",
         "no rule allows it"),  # the gateway's line says 200 and no more
        (line(code=429), CHECKOUT, "POST /predict", LIMITED), (line(code=429, cluster="inbound|8080||"), CHECKOUT, "POST /predict", LIMITED),
        (line(code=403), CHECKOUT, "POST /predict", "the program or its proxy answered 403"),
        (line(code=403, cluster="inbound|8080||"), CHECKOUT, "POST /predict", "the program itself answered 403"),
        (line(code=400, path="/v2/../admin", details="path_normalization_failed"), CHECKOUT, "POST /v2/../admin", "its path hides where it leads"),
        (connection("CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_SAN_matcher,_", serial="5f"), NAMELESS, "a connection to incident.example",
         "the certificate names nobody known here"),
        (connection("", details="rbac_access_denied_matched_policy[none]", principal=CHECKOUT), CHECKOUT, "a connection to incident.example",
         "no rule of the connection allows it"),
        (connection("PEER_DID_NOT_RETURN_A_CERTIFICATE"), NOBODY, "a connection to incident.example", "no certificate was shown"),
        (connection("CERTIFICATE_VERIFY_FAILED:_certificate_has_expired", principal=CHECKOUT), f"claims {CHECKOUT}",
         "a connection to incident.example", "the certificate has expired"),
        (connection("CERTIFICATE_VERIFY_FAILED:_CRLs_failed:_certificate_revoked", principal=CHECKOUT), f"claims {CHECKOUT}",
         "a connection to incident.example", "the certificate was revoked"),
        (connection("CERTIFICATE_VERIFY_FAILED:_unable_to_get_local_issuer_certificate"), NAMELESS, "a connection to incident.example",
         "the certificate is of another authority"),
        (connection("HTTP_REQUEST", sni=None), NOBODY, "a connection to a port", "spoke without TLS"),
        ({"start_time": "x", "method": "GET", "path": "/v2?token=s3cret", "response_code": 403,
          "response_code_details": "rbac_access_denied_matched_policy[none]"}, UNNAMED, "GET /v2", "no rule allows it"),
    ],
)  # fmt: skip
def test_a_denial_says_who_was_denied_what_and_why(found, who, what, why):
    assert denial_of(found)[1:] == (who, what, why)


@pytest.mark.parametrize(
    "found",
    [
        line(), line(code=404), line(code=400), line(code=503, details="no_healthy_upstream"), line(code=422),
        line(code=403, principal=None),  # a Pod's own sidecar, on the way out: the one at the other end tells
        *(line(code=code, principal=GATEWAY, cluster="inbound|8080||") for code in (401, 403, 429)),  # the gateway tells, with the client's name
        line(code=403, principal=GATEWAY, cluster="inbound|8080||", details="rbac_access_denied_matched_policy[none]"),
        connection("SSLV3_ALERT_CERTIFICATE_UNKNOWN"),  # the caller refused us
        connection("", details="TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end"),
        {"refused": "connection", "details": None, "reason": "filter_chain_not_found", "flags": "NR", "sni": "somebody.else"}, {}, {"code": "403"},
    ],
)  # fmt: skip
def test_what_is_no_denial_is_none(found):
    assert denial_of(found) is None


def test_what_others_write_is_cut_and_cleaned(tmp_path):
    log = tmp_path / "gateway.access.log"
    path, who = "/" + "\x1b[2J" * 4000 + "?q=secret", "spiffe://\u202e" + "x" * 9000
    spoiled = line(code=403, details="rbac_access_denied_matched_policy[none]", path=path, principal=who)
    log.write_text(json.dumps(spoiled) + "\n" + json.dumps(spoiled | {"path": "/\ud800"}) + "\nno json\n[1]\n")
    entries = gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    assert len(entries) == 2
    for entry in entries:
        assert len(entry.line()) < 1500 and "\x1b" not in entry.line().decode() and "secret" not in entry.line().decode()


def write(log, *lines) -> None:
    with log.open("a") as handle:
        handle.writelines(json.dumps(one) + "\n" for one in lines)


def test_a_flood_is_a_few_entries_and_nobody_is_left_out(tmp_path):
    log = tmp_path / "gateway.access.log"
    write(log, *(line(path=f"/{n if n % 2 else 'same'}", **DENIED) for n in range(20_000)), *(line(principal=f"{n}", **DENIED) for n in range(100)))
    entries = gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    assert len(entries) == MOST and sum(entry.facts["count"] for entry in entries) == 20_100
    counts = {entry.facts["what"]: entry.facts["count"] for entry in entries if entry.subject in (CHECKOUT, OTHERS)}
    assert counts["POST /same"] == 10_000 and counts[OTHER_PATHS] == 10_000 - (FEW - 1) and counts[OTHERS] == 100 - (MOST - 1 - FEW - 1)
    assert gather([log], tmp_path / "denials", tmp_path / "audit", at=AT) == []


def test_junk_of_one_caller_hides_no_other():
    junk = [line(path=f"/{n}", **DENIED) for n in range(1000)]
    claims = [connection("CERTIFICATE_VERIFY_FAILED:_certificate_has_expired", principal=f"spiffe://{n}", sni=f"{n}") for n in range(1000)]
    groups = Groups()
    for told in (*junk, *claims, line(principal="spiffe://late", path="/v2", **DENIED)):
        groups.add(denial_of(told))
    found = {group.who: group for group in groups}
    assert found["spiffe://late"].what == "POST /v2" and OTHERS not in found
    assert found[CHECKOUT].what == OTHER_PATHS and found[CHECKOUT].count == 1000 - FEW
    assert found[OTHER_CLAIMS].what == OTHER_PATHS and len([who for who in found if who.startswith("claims ")]) == FEW


def test_a_log_that_was_emptied_and_has_grown_past_the_old_place_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "gateway.access.log"
    write(log, line(path="/old", **DENIED))
    gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    log.write_text("")
    write(log, *(line(path="/new", time=f"2026-11-26T10:00:0{n}.000Z", **DENIED) for n in range(3)))
    assert [entry.facts["count"] for entry in gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)] == [3]


def killed_at(monkeypatch, step: int, log, tmp_path) -> None:
    """The step-th append of an entry is the last that anybody sees."""
    left, append = [step], gathering.AuditLog.append

    def killing(*words, **named):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return append(*words, **named)

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(gathering.AuditLog, "append", killing)
        gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)


def test_killed_before_its_entries_an_emptied_log_s_old_entries_do_not_pass_for_new_ones(tmp_path, monkeypatch):
    log = tmp_path / "gateway.access.log"
    write(log, line(time="1", **DENIED), line(time="2", path="/2", **DENIED))
    killed_at(monkeypatch, 1, log, tmp_path)
    log.write_text("")
    write(log, line(time="3", **DENIED), line(time="4", path="/2", **DENIED))
    killed_at(monkeypatch, 0, log, tmp_path)
    assert sum(entry.facts["count"] for entry in gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)) == 2


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_killed_while_writing_a_log_that_was_cut_is_told_once(tmp_path, monkeypatch, kept):
    log = tmp_path / "gateway.access.log"
    lines = [line(time=f"{n}", path=f"/{n}", **DENIED) for n in range(4)]
    write(log, lines[0])
    gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    write(log, *lines[1:])
    killed_at(monkeypatch, 2, log, tmp_path)
    log.write_text("")
    write(log, *lines[:kept])
    gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    write(log, line(time="5", path="/new", **DENIED))
    gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)
    assert Counter(entry.facts["what"] for entry in read_entries(tmp_path / "audit")) == Counter(["POST /0", "POST /1", "POST /2", "POST /new"])


def test_logs_of_one_name_in_two_folders_are_two(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "gateway.json", line(**DENIED))
    gather([tmp_path / "a" / "gateway.json"], tmp_path / "denials", tmp_path / "audit", at=AT)
    killed_at(monkeypatch, 0, tmp_path / "b" / "gateway.json", tmp_path)
    assert len(gather([tmp_path / "b" / "gateway.json"], tmp_path / "denials", tmp_path / "audit", at=AT)) == 1
    assert len({entry.facts["file"] for entry in read_entries(tmp_path / "audit")}) == 2


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Running:
    """A plane that reads every two seconds."""

    def __init__(self, folder) -> None:
        self.clock, self.folder = Clock(), folder
        self.gathering = Gathering(folder / "denials", folder / "audit", cadence=Cadence(self.clock))

    def bring(self):
        self.clock.now += 2
        return self.gathering.bring(sorted(self.folder.glob("*.access.log")), at=AT)


def test_a_new_caller_is_told_at_once_under_noise_and_noise_once_a_minute(tmp_path):
    running, log, entries = Running(tmp_path), tmp_path / "gateway.access.log", []
    for n in range(300):  # ten minutes
        write(log, *[line(time=f"{n}", **DENIED)] * 5)
        if n == 200:
            write(log, line(principal="spiffe://new", **DENIED))
        entries.append(running.bring())
    assert "spiffe://new" in {entry.subject for entry in entries[200]}
    noise = [entry for told in entries for entry in told if entry.subject == CHECKOUT]
    assert 10 <= len(noise) <= 12
    assert sum(entry.facts["count"] for entry in [*noise, *gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)]) >= 1500


def test_whoever_times_bursts_in_many_logs_gets_no_more_than_the_budget(tmp_path):
    running, entries, wrote = Running(tmp_path), [], 0
    for n in range(60):  # two minutes
        for log in range(5):
            lines = [line(time=f"{n}", principal=f"spiffe://{n}.{who}", path=f"/{n}", **DENIED) for who in range(33)]
            write(tmp_path / f"{log}.access.log", *lines)
            wrote += len(lines)
        entries += running.bring()
    assert 2 * BUDGET <= len(entries) <= 3 * BUDGET
    assert {entry.facts["log"] for entry in entries} == {f"{log}.access.log" for log in range(5)}
    entries += gather(sorted(tmp_path.glob("*.access.log")), tmp_path / "denials", tmp_path / "audit", at=AT)
    assert sum(entry.facts["count"] for entry in entries) == wrote


def test_what_was_held_back_of_a_log_that_is_emptied_is_told(tmp_path):
    running, log = Running(tmp_path), tmp_path / "gateway.access.log"
    write(log, line(time="1", **DENIED))
    assert len(running.bring()) == 1
    write(log, line(time="2", **DENIED))
    assert running.bring() == []
    log.write_text("")
    write(log, *(line(time=f"{n}", path="/new", **DENIED) for n in range(3, 9)))
    assert [(entry.facts["what"], entry.facts["count"]) for entry in running.bring()] == [("POST /predict", 1), ("POST /new", 6)]
    log.unlink()
    assert running.bring() == []


def test_a_backlog_is_read_to_its_end_at_once(tmp_path):
    log = tmp_path / "gateway.access.log"
    with log.open("w") as handle:
        handle.write((json.dumps(line(path="/" + "x" * 900)) + "\n") * 80_000)  # more than 64 MiB
    write(log, line(**DENIED))
    assert len(gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)) == 1


def test_a_denial_with_the_longest_path_is_none_too_long(tmp_path):
    log = tmp_path / "gateway.access.log"
    write(log, line(path="/" + "\x01" * 60_000, **DENIED))
    assert len(gather([log], tmp_path / "denials", tmp_path / "audit", at=AT)) == 1


def test_a_torn_line_waits_and_a_file_that_was_replaced_or_emptied_is_read_from_its_beginning(tmp_path):
    log = tmp_path / "gateway.access.log"
    text = json.dumps(line(code=429, details="local_rate_limited")) + "\n"

    def told() -> int:
        return sum(entry.facts["count"] for entry in gather([log], tmp_path / "denials", tmp_path / "audit", at=AT))

    log.write_text(text + text[:40])
    assert (told(), told()) == (1, 0)
    log.write_text(text + text)
    assert told() == 1
    log.write_text(text.replace("09:00:00", "09:00:01"))  # emptied, and written again
    assert told() == 1
    log.rename(tmp_path / "gateway.access.log.1")
    log.write_text(text * 3)
    assert told() == 3
    log.unlink()
    assert told() == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["/1", "/2"])), min_size=1, max_size=6)),
        st.tuples(st.just("gather"), st.integers(0, 12)),
        st.tuples(st.sampled_from(["empty", "replace"]), st.none()),
        st.tuples(st.just("wait"), st.just(61)),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, held_back=st.booleans())
def test_killed_at_any_moment_each_denial_is_counted_once(tmp_path_factory, steps, held_back):
    """Before or after any append of an entry and any write of how far a log was read; emptied or replaced at any moment between.

    None is counted twice. One is lost only where its log was emptied or replaced before a reading that told all ended.
    """
    folder = tmp_path_factory.mktemp("denials")
    log, wrote, left, clock = folder / "gateway.access.log", Counter(), [0], Clock()
    unread, lost = Counter(), Counter()
    log.touch()

    def begun() -> Gathering:
        return Gathering(folder / "state", folder / "audit", cadence=Cadence(clock) if held_back else None)

    running = begun()
    with killing(left, (gathering.AuditLog, "append"), (gathering, "write_place")):
        for step, (kind, value) in enumerate([*steps, ("gather", 0)]):
            if kind == "write":
                for n, (who, path) in enumerate(value):
                    write(log, line(time=f"{step}.{n}", principal=who, method="GET", path=path, **DENIED))
                    wrote[who, f"GET {path}"] += 1
                    unread[who, f"GET {path}"] += 1
            elif kind == "wait":
                clock.now += value
            elif kind == "gather":
                left[0] = value
                try:
                    running.bring([log], at=AT)
                    unread = unread if held_back else Counter()
                except Killed:
                    running = begun()
            else:
                lost, unread = lost + unread, Counter()
                if kind == "replace":
                    log.rename(folder / "gateway.access.log.1")
                log.write_text("")
        left[0] = 0
        gather([log], folder / "state", folder / "audit", at=AT)
    told = Counter()
    for entry in read_entries(folder / "audit"):
        told[entry.facts["who"], entry.facts["what"]] += entry.facts["count"]
    assert wrote - lost <= told <= wrote


def test_the_command_brings_a_gateway_s_log_and_goes_on_where_it_was(tmp_path, capsys):
    log = tmp_path / "gateway.json"
    log.write_text(json.dumps(line(code=403, details="rbac_access_denied_matched_policy[none]")) + "\n")
    command = ["--state", str(tmp_path / "state"), "audit", "denials", str(log), "-o", "json"]
    assert main(command) == 0
    assert [(one["who"], one["count"]) for one in json.loads(capsys.readouterr().out)] == [(CHECKOUT, 1)]
    assert main(command) == 0 and json.loads(capsys.readouterr().out) == []
    assert main(["--state", str(tmp_path / "state"), "audit", "verify"]) == 0
    assert main([*command[:4], str(tmp_path / "absent")]) != 0


def test_the_command_reads_standard_input(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((json.dumps(line(**DENIED)) + "\n").encode() * 2)))
    assert main(["--state", str(tmp_path / "state"), "audit", "denials", "-", "-o", "json"]) == 0
    assert [(one["who"], one["count"], one["log"]) for one in json.loads(capsys.readouterr().out)] == [(CHECKOUT, 2, "standard input")]


def test_the_command_takes_the_gateway_s_name(tmp_path, capsys):
    log, gateway = tmp_path / "sidecar.json", "spiffe://mesh/ns/edge/sa/front"
    write(log, line(code=429, cluster="inbound|8080||", principal=gateway), line(code=429, cluster="inbound|8080||"))
    assert main(["--state", str(tmp_path / "state"), "audit", "denials", str(log), "--gateway", gateway, "-o", "json"]) == 0
    assert [one["who"] for one in json.loads(capsys.readouterr().out)] == [CHECKOUT]
