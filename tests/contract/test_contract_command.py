"""`presage contract …` as it is typed, and the refusal where a release is composed and published."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest
from builders.releases import contract, copied, parts, policy, world

from presage.cli import main
from presage.contracts.reading import previous_contract, released_contract
from presage.errors import ArtifactRefused
from presage.package.composing import compose_release, keep
from presage.package.publishing import publish
from presage.package.reference import Reference
from presage.package.store import ReleaseStore
from presage.state import State

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return world(tmp_path_factory.mktemp("first"))


@pytest.fixture
def made(first, tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAGE_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return copied(first, State.open(tmp_path / "state").root)


def changed(**changes):
    return msgspec.structs.replace(contract(), **changes)


def written(tmp_path, name, **changes):
    (tmp_path / name).write_bytes(changed(**changes).to_json())
    return str(tmp_path / name)


def printed(capsys, *arguments, code=0):
    assert main([*arguments]) == code, capsys.readouterr().err
    return capsys.readouterr().out


def test_show_tells_what_callers_send_and_get_of_a_release_and_of_a_file(made, tmp_path, capsys):
    shown = printed(capsys, "contract", "show", "incident")
    assert all(words in shown for words in ("incident 1.0.0", "x FP32 [batch, 10]", "calendar.hour_sin", "-1 to 1", "risk of an incident within the horizon"))
    document = json.loads(printed(capsys, "contract", "show", made.published.uri, "-o", "json"))
    assert document == json.loads(contract().to_json())
    assert json.loads(printed(capsys, "contract", "show", written(tmp_path, "c.json"), "-o", "json")) == document


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, (0, "1.0.0 and 1.0.0 promise the same.")),
    ({"horizon": "6h"}, (1, "Refused: 1.0.0 breaks callers of 1.0.0 under the same major version. Call it 2.0.0.")),
    ({"horizon": "6h", "version": "2.0.0"}, (0, "Breaking, from 1.0.0 to 2.0.0.")),
    ({"detectors": 1}, (0, "Compatible; 1.0.0 does not tell of it. Call it 1.1.0.")),
    ({"detectors": 1, "version": "1.1.0"}, (0, "Compatible, from 1.0.0 to 1.1.0.")),
])  # fmt: skip
def test_diff_says_what_the_change_amounts_to_and_refuses_what_breaks_callers(made, tmp_path, capsys, changes, expected):
    code, sentence = expected
    assert printed(capsys, "contract", "diff", "incident", written(tmp_path, "new.json", **changes), code=code).splitlines()[-1] == sentence


def test_diff_as_json_follows_its_schema(made, tmp_path, capsys):
    document = json.loads(printed(capsys, "contract", "diff", "incident", written(tmp_path, "new.json", horizon="6h"), "-o", "json", code=1))
    schema = json.loads((ROOT / "docs" / "schemas" / "contract-diff.json").read_text())
    jsonschema_rs.validator_for(schema).validate(document)
    assert document["refused"] and document["changes"] == [
        {"effect": "breaking", "where": "horizon", "before": "1h", "after": "6h", "because": "the risk is of another span of time"}
    ]


@pytest.mark.parametrize("language", ["curl", "python", "go"])
def test_snippets_are_printed_for_a_release(made, capsys, language):
    text = printed(capsys, "contract", "snippets", "incident", "--language", language, "--endpoint", "https://risk.example/", "--server", "db-03")
    assert "https://risk.example/api/v2/predict" in text and "db-03" in text and "incident 1.0.0" in text


@pytest.mark.parametrize(("arguments", "expected"), [
    (["contract", "show", "absent.json"], (1, "absent.json: the contract cannot be read (No such file or directory). Name another file, or a release.")),
    (["contract", "show", "folder/of/absent"], (1, "folder/of/absent: the contract cannot be read")),
    (["contract", "show", "other"], (1, "holds no release of other")),
    (["contract", "show", "Incident"], (2, "'Incident' is no release")),
    (["contract", "diff", "incident", "spoiled.json"], (1, "spoiled.json is no contract")),
    (["contract", "diff", "incident", "two.json"], (1, "two.json: has version '2', and a contract is versioned as MAJOR.MINOR.PATCH. Mend the contract.")),
    (["contract", "snippets", "incident", "--cert", "a"], (2, "Give both --cert and --key")),
    (["contract", "snippets", "incident", "--language", "cobol"], (2, "cobol")),
])  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(made, tmp_path, capsys, arguments, expected):
    code, says = expected
    (tmp_path / "spoiled.json").write_bytes(b"{")
    written(tmp_path, "two.json", version="2")
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == "" and says in captured.err and captured.err.count("\n") == 1


def _replaced(seed, changes):
    return replace(parts(f"incident-{seed}", seed), contract=changed(**changes))


def composed(made, model):
    return compose_release("incident", {"primary": model}, made.store, policy(), made.key, trust=made.trust, default=0.05)


def kept(made, seed, **changes):
    """A package of another contract, found in the store by its name."""
    stored = made.package(_replaced(seed, changes))
    keep(made.store, stored)
    return stored.model


def test_a_release_that_breaks_callers_of_the_one_before_is_not_composed(made):
    model = kept(made, 11, horizon="6h")
    with pytest.raises(ArtifactRefused, match=r"contract 1.0.0 breaks callers of 1.0.0 under the same major version: horizon 1h → 6h") as refused:
        composed(made, model)
    assert refused.value.reason == "contract" and made.store.versions("incident") == [1]


def test_under_the_next_major_version_it_is(made):
    published = composed(made, kept(made, 12, horizon="6h", version="2.0.0"))
    assert (published.document.version, published.document.contract.version) == (2, "2.0.0")
    assert previous_contract(made.store, "incident").version == "2.0.0"
    assert previous_contract(made.store, "incident", 2).version == "1.0.0"
    assert released_contract(made.store, Reference("incident", 1, None)) == contract()


def test_an_earlier_release_s_member_goes_with_a_primary_of_a_later_minor_version(made):
    wider = [msgspec.structs.replace(field, low=None) for field in contract().inputs]
    model = kept(made, 13, inputs=wider, version="1.1.0")
    published = compose_release("incident", {"primary": model, "last_good": "incident"}, made.store, policy(), made.key, trust=made.trust, default=0.05)
    assert published.document.contract.version == "1.1.0" and published.document.ladder[:2] == ["primary", "last_good"]


def test_publishing_compares_with_what_callers_of_the_target_have(made, tmp_path):
    target = ReleaseStore(tmp_path / "target")
    publish(made.published.reference, made.store, target, None, trust=made.trust)
    smuggled = made.publish({"primary": _replaced(14, {"horizon": "6h"})})  # composed elsewhere, where nobody looked
    with pytest.raises(ArtifactRefused, match=r"breaks callers of 1.0.0") as refused:
        publish(smuggled.reference, made.store, target, None, trust=made.trust)
    assert refused.value.reason == "contract" and target.versions("incident") == [1]
    assert publish(smuggled.reference, made.store, ReleaseStore(tmp_path / "empty"), None, trust=made.trust) == smuggled.reference
