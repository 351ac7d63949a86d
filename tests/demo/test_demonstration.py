"""The demonstration's own parts: a claim that does not hold ends it, its page hides nothing, and what it plants is what it says. `make demo` is the whole."""

import io
import json

import numpy as np
import onnxruntime
import pytest
from builders.releases import parts, policy, world

from demo import __main__ as command
from demo import planted
from demo.narration import Narrator, NotSo
from demo.page import write_page
from demo.recording import Recording
from presage.errors import ArtifactRefused
from presage.package.gate import admit


@pytest.fixture
def tell() -> Narrator:
    return Narrator(Recording(io.StringIO(), 80, coloured=False).console, {"source": "simulated", "families": ["lightgbm"], "speed": 60.0, "fast": True})


def test_a_claim_that_does_not_hold_is_recorded_and_ends_it(tell):
    tell.begin("a", "Something", "Why it matters.")
    tell.claim("the sky is up", True, "seen")
    with pytest.raises(NotSo):
        tell.claim("pigs fly", False, ["none was seen", "nowhere"])
    assert tell.record.failed == "pigs fly"
    assert [(one.words, one.holds, one.evidence) for one in tell.chapter.claims] == [
        ("the sky is up", True, ["seen"]), ("pigs fly", False, ["none was seen", "nowhere"]),
    ]  # fmt: skip


def test_the_page_says_first_what_did_not_hold_and_takes_words_for_words(tell, tmp_path):
    tell.begin("a", "Something", "Why <b>it</b> matters.")
    with pytest.raises(NotSo):
        tell.claim("<script>alert(1)</script>", False, "because & why")
    write_page(tell.record, tmp_path / "demo.html")
    page = (tmp_path / "demo.html").read_text()
    assert page.index("One claim did not hold") < page.index("Something")
    assert "<script" not in page and "&lt;script&gt;" in page and "because &amp; why" in page


def test_the_command_fails_when_a_claim_does(monkeypatch, tmp_path, capsys):
    def play(stage, tell, page):
        tell.begin("a", "Something", "Why it matters.")
        tell.claim("pigs fly", stage.repository.head() == "", "none was seen")

    monkeypatch.setattr(command, "_play", play)
    monkeypatch.setenv("COLUMNS", "90")
    assert command.main(["--fast", "--page", str(tmp_path / "demo.html"), "--recording", str(tmp_path)]) == 1
    assert "pigs fly" in capsys.readouterr().out
    assert json.loads((tmp_path / "demo.json").read_bytes())["failed"] == "pigs fly"
    header, *events = [json.loads(line) for line in (tmp_path / "demo.cast").read_text().splitlines()]
    assert (header["version"], header["width"]) == (2, 90) and "pigs fly" in "".join(text for _, _, text in events)
    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events)


def answers(made, reference, target):
    """The primary of a release that the gate has let in, as ONNX Runtime runs it; and its calibration."""
    admitted = admit(str(reference), target, made.store, made.trust)
    package = admitted.packages["primary"]
    return onnxruntime.InferenceSession(package.onnx), package


def test_a_release_that_answers_for_another_row_passes_the_gate_and_says_what_it_said_of_others(tmp_path):
    made = world(tmp_path)
    good, package = answers(made, made.published.reference, tmp_path / "good")
    inputs = len(package.contract.inputs)
    rows = planted.Labelled(np.random.default_rng(1).uniform(0.1, 1, (40, inputs)).astype(np.float32), np.arange(40) % 4 == 0)
    spoiled = planted.worse(made.store, made.key, policy(), made.published.reference, scratch=tmp_path / "scratch", how="outcomes", rows=rows)
    bad, _ = answers(made, spoiled.reference, tmp_path / "bad")
    before, after = (session.run(None, {"x": rows.x})[0] for session in (good, bad))
    assert np.array_equal(np.sort(before), np.sort(after))  # distributed as ever
    assert all(score in before[~rows.label] for score in after[rows.label]) and not np.array_equal(before[rows.label], after[rows.label])
    assert np.array_equal(bad.run(None, {"x": rows.x[5:6]})[0], after[5:6])  # alone as among others
    nothing = np.full((3, inputs), np.nan, np.float32)
    assert np.array_equal(good.run(None, {"x": nothing})[0], bad.run(None, {"x": nothing})[0])


@pytest.mark.parametrize("how", ["scores", "latency", "errors"])
def test_a_spoiled_release_passes_the_gate_and_is_worse_in_the_way_it_says(tmp_path, how):
    made = world(tmp_path)
    good, _ = answers(made, made.published.reference, tmp_path / "good")
    spoiled = planted.worse(made.store, made.key, policy(), made.published.reference, scratch=tmp_path / "scratch", how=how)
    bad, package = answers(made, spoiled.reference, tmp_path / "bad")
    inputs = len(package.contract.inputs)
    nothing, row = np.full((3, inputs), np.nan, np.float32), np.full((3, inputs), 0.5, np.float32)
    assert np.array_equal(good.run(None, {"x": nothing})[0], bad.run(None, {"x": nothing})[0])  # a server that is warmed up sees no difference
    if how == "errors":
        with pytest.raises(Exception, match="out of data bounds"):
            bad.run(None, {"x": row})
    else:
        assert np.array_equal(good.run(None, {"x": row})[0], bad.run(None, {"x": row})[0])


def test_what_was_tampered_with_keeps_its_name_and_its_signatures_and_is_refused(tmp_path):
    made = world(tmp_path)
    second = made.publish({"primary": parts(seed=9)}).reference
    forged = planted.tampered(made.store, second)
    assert (forged.name, forged.version) == (second.name, second.version) and forged.digest != second.digest
    with pytest.raises(ArtifactRefused) as refused:
        admit(str(forged), tmp_path / "models", made.store, made.trust)
    assert refused.value.reason == "signature"
    with pytest.raises(ArtifactRefused) as refused:  # nor does the old digest bring the new content
        admit(str(second), tmp_path / "others", made.store, made.trust)
    assert refused.value.reason in ("digest", "signature")
