"""The ten questions of an auditor, asked of one prediction of a real server; each is answered by `presage audit trace`, or by the one command that
docs/tracing.md names beside it. That the page has these questions and these commands is tested, too."""

import re
from pathlib import Path

import jsonschema_rs
import orjson
import pytest
from builders.traced import CALLER, PEOPLE, PLACE, REVERTED

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tracing.md").read_text()
QUESTIONS = (
    "Who approved it, in which role, when, and until when?",
    "On which data was it trained?",
    "Which code made it?",
    "Under which policy was it decided, line by line?",
    "Was it a canary, or a shadow?",
    "Which commits brought it, which took it away, and why?",
    "What exactly was it decided on?",
    "What else did this release decide?",
    "How good was it known to be, and what does its card say?",
    "Who asked, might they, and is the record as it was?",
)
TRACE = "presage audit trace PREDICTION_ID"


def command(question: str) -> str:
    """What the page says to run."""
    rows = dict(re.findall(r"^\| (.*?) \| `(presage .*?)` ", PAGE, flags=re.MULTILINE))
    return rows[question]


@pytest.fixture(scope="module")
def answered(world, found):
    """The answer as the server gave it."""
    return next(one for one in world.answers if one["prediction_id"] == found.prediction_id)


@pytest.fixture(scope="module")
def document(world, found):
    """What a program reads, held to its schema."""
    printed = orjson.loads(world.presage("audit", "trace", found.prediction_id, "-o", "json").stdout.splitlines()[-1])
    jsonschema_rs.validator_for(orjson.loads((ROOT / "docs/schemas/audit-trace.json").read_bytes()), validate_formats=True).validate(printed)
    return printed


@pytest.fixture(scope="module")
def text(world, found):
    """What a person reads: one page."""
    return world.presage("audit", "trace", found.prediction_id).stdout


def part(text: str, heading: str) -> str:
    """One section of the page, its heading's source included."""
    return text.split(f"\n{heading.upper()}  ")[1].split("\n\n", maxsplit=1)[0]


def test_the_page_has_these_ten_questions_and_no_other():
    assert re.findall(r"^\| (.*?) \| `presage ", PAGE, flags=re.MULTILINE) == list(QUESTIONS)


def test_1_who_approved_it_in_which_role_when_and_until_when(document, text, world):
    assert command(QUESTIONS[0]) == TRACE
    approvals = document["approvals"]
    assert (approvals["tier"], approvals["roles"], approvals["people"], approvals["lacking"]) == ("high", ["model-risk", "compliance"], 2, None)
    assert {one["approver"]: one["role"] for one in approvals["given"]} == PEOPLE
    assert all(one["refused"] is None and one["commit"]["id"] == world.commits["approvals"] for one in approvals["given"])
    assert "risk-officer as model-risk at " in part(text, "Who approved it, when") and "enough       yes" in part(text, "Who approved it, when")


def test_2_on_which_data_it_was_trained(document, text, world):
    assert command(QUESTIONS[1]) == TRACE
    packaged = next(iter(world.state.runs.glob("*/result.json"))).parent
    from components.package.lineage import folder_digest

    validated = folder_digest(packaged / orjson.loads((packaged / "result.json").read_bytes())["artifacts"]["validated"])
    assert (document["origin"]["digest"], document["origin"]["data"][:9], document["run"]["snapshot"]) == (validated, "simulated", True)
    assert validated in part(text, "Data and code")


def test_3_which_code_made_it(document, text, world):
    assert command(QUESTIONS[2]) == TRACE
    assert re.fullmatch("[0-9a-f]{64}", document["origin"]["code"]) and document["origin"]["lock"].startswith("sha256:")
    assert re.fullmatch("[0-9a-f]{40}", document["run"]["commit"]) and document["run"]["changed"] in (True, False)
    assert document["run"]["registry_run"] and document["run"]["run"] == document["origin"]["run"]
    assert document["run"]["commit"] in part(text, "The run that made it") and document["origin"]["code"] in part(text, "Data and code")


def test_4_under_which_policy_line_by_line(document, text, world, answered):
    assert command(QUESTIONS[3]) == TRACE
    policies = document["policies"]
    assert policies["commit"]["id"] == world.commits["start"]
    lines = {one["rule"]: one for one in policies["lines"]}
    for one in policies["lines"]:  # each is where the page says it is, in that commit
        there = world.here.git("show", f"{policies['commit']['id']}:{one['file']}").splitlines()
        assert there[one["line"] - 1].strip() == one["text"], one
    assert lines["risk tier"]["text"].startswith("risk_tier: high")
    assert lines["approvals of the tier"]["text"] == "approvals: {roles: [model-risk, compliance], people: 2}"
    reached = [rule for rule, one in lines.items() if "this answer reached" in one["means"]]
    assert reached == ([f"cost of a needless {answered['tier']}"] if answered["tier"] != "none" else [])
    assert document["release"]["differs"] == [] and "policies/models/incident.yaml:" in part(text, "The policy lines that applied")


def test_5_whether_it_was_a_canary_or_a_shadow(document, text, world):
    assert command(QUESTIONS[4]) == TRACE
    stood = [(one["application"], one["role"], one["percent"], one["fits"]) for one in document["standing"]]
    assert stood == [("models-network", "canary", 5, True), ("models-network", "shadow", None, False)]
    assert all(one["since"]["id"] == world.commits["start"] for one in document["standing"])
    assert "canary with 5 percent of the requests" in part(text, "Stable, canary or shadow") and document["answer"]["shadow_of"] == ""


def test_6_which_commits_brought_it_and_took_it_away_and_why(document, text, world):
    assert command(QUESTIONS[5]) == TRACE
    told = [(one["kind"], one["before"], one["after"], one["commit"]["id"]) for one in document["commits"]]
    assert told == [
        ("brought", "", "canary with 5 percent, shadow", world.commits["start"]),
        ("changed", "canary with 5 percent, shadow", "canary with 10 percent, shadow", world.commits["raise"]),
        ("took away", "canary with 10 percent, shadow", "", world.commits["revert"]),
    ]
    records = [record for one in document["commits"] for record in one["records"]]
    assert [(one["step"], one["signer"], one["refused"]) for one in records] == [(step, "judge", None) for step in ("start", "raise", "revert")]
    assert records[-1]["because"] == REVERTED and REVERTED in part(text, "The commits that brought it and took it away")
    assert {one["overlay"] for one in document["commits"]} == {PLACE.overlay}


def test_7_what_exactly_it_was_decided_on(document, text, world, found, answered):
    name = command(QUESTIONS[6])
    assert name == "presage log show PREDICTION_ID"
    shown = orjson.loads(world.presage("log", "show", found.prediction_id, "-o", "json").stdout)
    assert [(one["name"], one["values"]) for one in document["inputs"]["values"]] == [(one["name"], one["values"]) for one in shown["inputs"]]
    assert document["inputs"]["history"] == shown["history"] and document["inputs"]["kind"] == "looked up" and len(shown["inputs"]) > 400
    assert (document["answer"]["risk"], document["answer"]["server"]) == (pytest.approx(answered["risk"], abs=1e-6), answered["server"])
    assert document["inputs"]["values"][0]["name"] in part(text, "Its inputs as logged")


def test_8_what_else_this_release_decided(document, text, world):
    shown = command(QUESTIONS[7])
    others = document["others"]
    assert others["command"] == shown.replace("DIGEST", world.digest)
    rows = orjson.loads(world.presage(*others["command"].replace("presage ", "", 1).split(" ", 2)[:2], others["command"].split('"')[1], "-o", "json").stdout)
    assert len(rows["rows"]) == others["decisions"] == len(world.answers) + 1 and others["shadows"] == 0  # one more under a hostile name
    assert {row[0] for row in rows["rows"]} >= {one["prediction_id"] for one in world.answers}
    assert sum(one["decisions"] for one in others["tiers"]) == others["decisions"] and others["command"] in text


def test_9_how_good_it_was_known_to_be_and_what_its_card_says(document, text, world):
    assert command(QUESTIONS[8]) == TRACE
    member = next(one for one in world.second.document.members if one.role == "primary")
    assert document["evaluation"]["digest"] == f"sha256:{member.files['metrics.json']}" and document["card"]["digest"] == f"sha256:{member.files['card.md']}"
    metrics = document["evaluation"]["metrics"]
    assert 0 < metrics["average_precision"] < 1 and f"average precision            {metrics['average_precision']:.4g}" in part(text, "Evaluation")
    assert "## Limits" in document["card"]["text"] and "Tell the people on call" in part(text, "Model card")


def test_10_who_asked_whether_they_might_and_whether_the_record_is_as_it_was(document, text, world):
    name = command(QUESTIONS[9])
    assert name == "presage audit verify"
    assert "entries in order" in world.presage(*name.split()[1:]).stdout
    assert document["answer"]["caller"] == CALLER
    rules = [one for one in document["policies"]["lines"] if one["rule"] == "access rule ACC-3"]
    assert [one["text"].split(":")[0] for one in rules] == ["identity", "may", "at_most"]
    audit = document["audit"]
    assert audit["good"] is True
    assert [one["kind"] for one in audit["entries"]] == ["approved", "approved", "released", "gate-refused", "released", "released", "released"]
    assert "in order, by the key beside it" in part(text, "What the audit log says of it")


def test_nothing_is_missing_where_everything_is_there(document):
    assert [one for one in document["missing"] if one["part"] != "inputs"] == []  # a metric that nobody measured then is told


def test_the_page_fits_on_one(text):
    assert len(text.splitlines()) < 120
