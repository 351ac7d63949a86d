"""Snippets are programs: each is run here against a real server, and says what the server said."""

import os
import shutil
import subprocess
import sys

import msgspec
import pytest
from builders.releases import contract

from benchmarks.serving_release import NEWCOMER
from presage.contracts.requests import example_row
from presage.contracts.snippets import Call, snippet
from presage.errors import UsageError
from presage.package.contract import InputField

LANGUAGES = ["curl", "python", "go"]
NEEDS = {"curl": "curl", "python": sys.executable, "go": "go"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Runs a program in its language; skips where the language is not here."""
    cache = tmp_path_factory.mktemp("go-cache")

    def run(language, text, folder):
        if shutil.which(NEEDS[language]) is None:
            pytest.skip(f"{NEEDS[language]} is not here (make tools installs what can be): its snippet is not run")
        path = folder / {"curl": "ask.sh", "python": "ask.py", "go": "ask.go"}[language]
        path.write_text(text)
        command = {"curl": ["sh", str(path)], "python": [sys.executable, str(path)], "go": ["go", "run", str(path)]}[language]
        environment = {"PATH": os.environ["PATH"], "GOCACHE": str(cache), "HOME": str(folder), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment, cwd=folder)

    return run


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_snippet_asks_for_servers_by_name(ran, language, server, serving_site, tmp_path):
    call = Call(server.address, (serving_site.servers[0], NEWCOMER))
    done = ran(language, snippet(serving_site.contract, language, call), tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in (serving_site.servers[0], NEWCOMER, "primary"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_snippet_sends_a_row_of_every_input(ran, language, server, serving_site, tmp_path):
    done = ran(language, snippet(serving_site.contract, language, Call(server.address, rows=True)), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "primary" in done.stdout


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_refusal_is_shown_and_is_no_success(ran, language, server, serving_site, tmp_path):
    done = ran(language, snippet(serving_site.contract, language, Call(server.address, ("nobody",))), tmp_path)
    assert done.returncode != 0 and "the online store has no such server" in done.stdout + done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_nothing_answers_a_snippet_says_so(ran, language, serving_site, tmp_path):
    done = ran(language, snippet(serving_site.contract, language, Call("http://127.0.0.1:9")), tmp_path)
    assert done.returncode != 0 and done.stderr.strip()


NASTY = 'a"b\\c\'d`e $(touch owned) %s é\n"""\t*/'


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_a_contract_or_a_caller_becomes_part_of_the_program(ran, language, server, serving_site, tmp_path):
    base = serving_site.contract
    outputs = [msgspec.structs.replace(base.outputs[0], meaning=NASTY)]
    hostile = msgspec.structs.replace(base, name=NASTY, outputs=outputs, inputs=[InputField(NASTY, NASTY, meaning=NASTY)])
    for call in (Call(server.address, (NASTY,)), Call(server.address, rows=True)):
        done = ran(language, snippet(hostile, language, call), tmp_path)
        assert done.returncode != 0 and ("has no such server" in done.stdout + done.stderr or "no input of this model" in done.stdout + done.stderr)
    assert not (tmp_path / "owned").exists()


@pytest.fixture(scope="module")
def gateway(server, tmp_path_factory):
    """A TLS endpoint that asks for a client's certificate, in front of the real server: an authority, two certificates, a thread."""
    from builders.tls_front import TlsFront

    with TlsFront(server.address, tmp_path_factory.mktemp("tls")) as front:
        yield front


@pytest.mark.parametrize("language", LANGUAGES)
def test_mutual_tls_is_spoken_with_the_files_named(ran, language, gateway, serving_site, tmp_path):
    given = {"certificate": str(gateway.certificate), "key": str(gateway.key), "ca": str(gateway.ca)}
    name = serving_site.servers[0]
    done = ran(language, snippet(serving_site.contract, language, Call(gateway.address, (name,), **given)), tmp_path)
    assert done.returncode == 0 and name in done.stdout, done.stderr
    without = ran(language, snippet(serving_site.contract, language, Call(gateway.address, (name,), ca=given["ca"])), tmp_path)
    assert without.returncode != 0 and name not in without.stdout
    stranger = ran(language, snippet(serving_site.contract, language, Call(gateway.address, (name,))), tmp_path)
    assert stranger.returncode != 0 and name not in stranger.stdout


@pytest.mark.parametrize(("call", "says"), [
    (Call("https://x", certificate="a"), "Give both --cert and --key"),
    (Call("https://x", key="a"), "Give both --cert and --key"),
    (Call("x:80"), "is no URL"),
    (Call("http://x y"), "is no URL"),
    (Call("http://x", ca="a"), "is plain HTTP"),
])  # fmt: skip
def test_a_call_that_makes_no_sense_is_refused(call, says):
    with pytest.raises(UsageError, match=says):
        snippet(contract(), "curl", call)


def test_a_sequence_model_is_asked_by_name():
    sequence = msgspec.structs.replace(contract(), kind="sequence", history=3)
    with pytest.raises(UsageError, match="Leave --rows out"):
        snippet(sequence, "python", Call("http://x", rows=True))
    assert "web-01" in snippet(sequence, "python", Call("http://x"))


@pytest.mark.parametrize(("low", "high"), [
    (None, None), (0.0, None), (None, -5.0), (0.0, 1.0), (-45.0, 45.0), (0.25, 0.2501), (1e-9, 2e-9), (7.0, 7.0), (0.1, 0.1), (-1e30, 1e30), (3e38, None),
])  # fmt: skip
def test_an_example_value_lies_in_its_range(low, high):
    described = msgspec.structs.replace(contract(), inputs=[InputField("f", low=low, high=high)])
    value = example_row(described)["f"]
    assert (low is None or low <= value) and (high is None or value <= high)
