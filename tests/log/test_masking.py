"""What enters the log, by the class of data: nothing unmasked is ever written there."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from builders.logs import NOON, POLICY, ROOT, WRITER, decision, floats, masking, snapshot, write_log

from inference.log.classes import COMPILED, read_classes
from inference.log.folder import files
from inference.log.free_text import LOOKS, FreeText, load_presidio
from inference.log.reading import read_decisions
from presage.errors import InputError
from presage.governance.data_classes import compile_data_classes, parse_data_classes

SECRETS = {
    "ann.lee@example.com": "EMAIL_ADDRESS", "ann@mail.internal": "EMAIL_ADDRESS", "+44 20 7946 0958": "PHONE_NUMBER", "(415) 555-0132": "PHONE_NUMBER",
    "10.1.2.3": "IP_ADDRESS", "2001:db8::ff00:42:8329": "IP_ADDRESS", "4111 1111 1111 1111": "CREDIT_CARD", "GB82 WEST 1234 5698 7654 32": "IBAN_CODE",
}  # fmt: skip


@pytest.fixture(scope="module")
def free_text():
    return FreeText()


def read(log):
    """Decisions of a log, and its bytes as a whole."""
    found = [logged.decision for file in files(log, "decisions") for logged in read_decisions(file, None)]
    return found, b"".join(path.read_bytes() for path in sorted(log.rglob("*.parquet")))


def plain(log, table="decisions"):
    return pl.concat([pl.read_parquet(file.path, hive_partitioning=False) for file in files(log, table)])


@pytest.mark.long
@pytest.mark.parametrize(("secret", "kind"), SECRETS.items(), ids=SECRETS.values())
def test_a_pattern_is_masked_wherever_it_stands_and_the_rest_of_the_text_stays(free_text, secret, kind):
    for text in (secret, f"order for {secret}", f"{secret} asked twice", f"see {secret} or 10.9.8.7"):
        masked = free_text.masked(text)
        assert secret not in masked and f"<{kind}>" in masked
    assert free_text.masked(f"order for {secret}").startswith("order for <")


@pytest.mark.parametrize("text", [
    "", "asked first", "primary: slow", "drift, psi 0.31 beyond 0.25", "routed by domain network", "5d41402abc4b2a76b9719d911017c592",
    "9f1c6f9e-7d0a-4d3e-8f57-0e0ad9a1c9f4",
])  # fmt: skip
def test_text_without_a_pattern_stays_as_it_is(free_text, text):
    assert free_text.masked(text) == text


def test_a_name_in_free_text_is_not_found_as_the_documentation_says(free_text):
    assert free_text.masked("asked by Ann Lee on 2026-03-01") == "asked by Ann Lee on 2026-03-01"
    assert "names of people are not found" in " ".join((ROOT / "docs/prediction-log.md").read_text().split())


def test_a_text_too_long_to_look_through_is_masked_whole(free_text):
    assert free_text.masked("7" * 2001) == "<masked>"


def test_where_presidio_is_not_installed_a_text_that_could_hold_a_pattern_is_masked_whole():
    without = FreeText(lambda: None)
    assert without.masked("call 10.1.2.3") == without.masked("٠٢٠ ٧٩٤٦ ٠٩٥٨") == "<masked>" and without.masked("asked first") == "asked first"


def test_each_distinct_text_is_looked_at_once():
    looked = []
    free_text = FreeText(lambda: lambda text: looked.append(text) or [])
    assert [free_text.masked("order 123456") for _ in range(3)] == ["order 123456"] * 3 and looked == ["order 123456"]


def test_more_texts_than_a_round_may_look_at_are_masked_whole_and_a_later_round_looks_again():
    free_text = FreeText(lambda: lambda text: [])
    texts = [f"order {number:07d}" for number in range(LOOKS + 5)]
    masked = [free_text.masked(text) for text in texts]
    assert masked == [*texts[:LOOKS], *["<masked>"] * 5] and free_text.masked("order 7") == "order 7"
    free_text.begin_round()
    assert free_text.masked(texts[-1]) == texts[-1]


@pytest.mark.long
def test_presidio_is_not_loaded_before_a_text_could_hold_a_pattern(tmp_path):
    """In a process of its own, as the shipper is one."""
    program = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from builders.logs import decision, masking, write_log
write_log(Path(sys.argv[1]), [decision(1, because="primary: slow"), decision(2, caller_id="9f1c6f9e-7d0a-4d3e-8f57-0e0ad9a1c9f4")])
print("presidio_analyzer" in sys.modules, "spacy" in sys.modules, "pydantic" in sys.modules, "opendp" in sys.modules, "pyiceberg" in sys.modules)
write_log(Path(sys.argv[1]), [decision(3, caller_id="order 1234567")])
print("presidio_analyzer" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(ROOT), str(ROOT / "tests")], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0].split()[:2] == ["False", "False"] and done.stdout.split("\n")[0].split()[3:] == ["False", "False"]
    assert done.stdout.split("\n")[1] == "True"


def test_no_network_is_asked_for_a_pattern(monkeypatch):
    """presidio's own e-mail recogniser fetches a list of domains; a Pod that may not leave the cluster would wait for it."""
    import socket

    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    find = load_presidio()
    assert {found.kind for secret in SECRETS for found in find(secret)} >= set(SECRETS.values())


def test_by_the_committed_policy_free_text_is_masked_and_machines_stay(tmp_path):
    log = write_log(tmp_path, [
        snapshot("server-1"),
        decision(1, caller_id="for ann.lee@example.com", context={"domain": "network", "note 10.1.2.3": "card 4111 1111 1111 1111"}),
    ])  # fmt: skip
    [found], content = read(log)
    assert found.caller_id == "for <EMAIL_ADDRESS>" and found.server == "server-1" and found.caller.endswith("/checkout")
    assert found.context == {"domain": "network", "note <IP_ADDRESS>": "card <CREDIT_CARD>"}
    assert all(secret.encode() not in content for secret in ("ann.lee", "10.1.2.3", "4111"))


def test_a_person_is_masked_whole_and_a_secret_left_out(tmp_path):
    by = masking({"caller: internal": "caller: person", "caller_id: free text": "caller_id: secret", "otherwise: free text": "otherwise: person"})
    log = write_log(tmp_path, [decision(1, caller_id="tk-91", context={"domain": "network", "by": "Ann Lee"})], by=by)
    [found], content = read(log)
    assert (found.caller, found.caller_id, found.context) == ("<masked>", None, {"domain": "network", "by": "<masked>"})
    assert all(secret not in content for secret in (b"tk-91", b"Ann Lee", b"checkout"))


def test_a_masked_input_is_missing_in_rows_that_callers_gave_in_online_rows_and_in_their_history(tmp_path):
    by = masking({"  named: {}": "  named: {memory.*: person}"})
    log = write_log(tmp_path, [snapshot("server-0"), decision(0), decision(1, x=floats(0.5, 0.75))], by=by)
    table = plain(log, "snapshots")
    assert np.isnan(plain(log)["x"][1].to_numpy()[1]) and plain(log)["x"][1][0] == 0.5
    assert table["values"][0][0] == 1.5 and np.isnan(table["history"][0].to_numpy()[1::2]).all() and table["history"][0].to_list()[::2] == [1.0, 3.0]
    assert floats(0.75) not in read(log)[1]


def test_inputs_nobody_named_are_all_masked_where_any_is():
    by = masking({"  named: {}": "  named: {memory.*: person}"})
    columns = {"server": ["s"], "time": [NOON], "seen": [NOON], "values": [floats(1, 2)], "history": [floats(1, 2)]}
    by.snapshots(columns, type(WRITER)("incident", "1", "sha256:0", "eu"))
    assert np.isnan(np.frombuffer(columns["values"][0], "<f4")).all() and np.isnan(np.frombuffer(columns["history"][0], "<f4")).all()


def test_the_committed_policy_holds_to_its_schema_and_what_is_compiled_from_it_is_current():
    import jsonschema_rs
    import yaml

    compiled = compile_data_classes(parse_data_classes(POLICY, "data-classes.yaml"))
    for name, text in compiled.items():
        assert (ROOT / name).read_text() == text, f"{name} is not current: run `presage policies render`"
    jsonschema_rs.validator_for(json.loads(compiled["policies/schemas/data-classes.json"])).validate(yaml.safe_load(POLICY))
    assert read_classes(environment={}) == read_classes(ROOT / "policies/data-classes.yaml") == read_classes(COMPILED)


@pytest.mark.parametrize(("old", "new", "wrong"), [
    ("caller: internal", "caller: staff", "record.caller has class 'staff'"),
    ("  caller: internal ", "  # ", "record does not say the class of caller"),
    ("server: internal", "server: subject", "subject is none"),
    ("subject: none", "subject: server", "would stand readable"),
    ("otherwise: internal ", "otherwise: free text ", "no pattern is found in numbers"),
    ("action: keep}", "action: forget}", "Input should be 'keep'"),
    ("hides: server", "hides: subject", "subject is none"),
])  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused_with_its_place(old, new, wrong):
    assert old in POLICY
    with pytest.raises(InputError, match=wrong):
        parse_data_classes(POLICY.replace(old, new), "data-classes.yaml")


def test_without_a_policy_that_can_be_read_nothing_is_shipped(tmp_path):
    (tmp_path / "broken.json").write_text("{}")
    for path in (tmp_path / "nowhere.json", tmp_path / "broken.json"):
        with pytest.raises(InputError):
            read_classes(path)
