"""The report: what it says, that it stands alone, that it lets nothing of the data act, and that a browser draws it."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from simulated_run import build_run

from presage.console.report import write_report
from presage.console.report.artifacts import read_run
from presage.console.report.tables import extremes, tiers
from presage.console.report.words import verdict
from presage.errors import InputError
from presage.files import read_json, write_json

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return build_run(tmp_path_factory.mktemp("runs") / "20260313-101500-3f9a")


@pytest.fixture(scope="module")
def page(run_folder):
    return write_report(run_folder).read_text()


def changed(run_folder: Path, tmp_path: Path, **changes):
    """A copy of the run with these keys of evaluation.json changed."""
    folder = tmp_path / "changed"
    shutil.copytree(run_folder, folder)
    document = read_json(folder / "evaluation" / "evaluation.json")
    write_json(folder / "evaluation" / "evaluation.json", {**document, **changes})
    return folder


def test_the_verdict_comes_first_and_says_the_winner_the_interval_and_chance(page):
    text = re.sub(r"<[^>]+>", "", page[page.index("<header>") : page.index("</header>")])
    assert "LightGBM predicts incidents, and does it better than anomaly detection without labels." in text
    assert re.search(r"average precision of 0\.\d\d\s+\(95\N{NO-BREAK SPACE}% interval 0\.\d\d to 0\.\d\d\) where chance reaches 0\.0\d\d", text)


def test_a_gain_whose_interval_holds_zero_is_not_called_better(run_folder, tmp_path):
    found = verdict(read_run(changed(run_folder, tmp_path, gain_interval=[-0.02, 0.11])))
    assert found.tone == "open"
    assert "cannot tell" in found.headline


def test_a_winner_not_above_chance_is_said_to_be_none(run_folder, tmp_path):
    found = verdict(read_run(changed(run_folder, tmp_path, prevalence=0.9)))
    assert found.tone == "bad"
    assert "do not show that it beats chance" in found.headline


def test_few_incidents_and_a_bound_budget_are_cautions(run_folder, tmp_path):
    found = verdict(read_run(changed(run_folder, tmp_path, clusters=7)))
    assert any("only 7 independent incidents" in caution for caution in found.cautions)
    assert any("temporal convolution" in caution and "budget" in caution for caution in found.cautions)


def test_text_from_the_data_is_escaped(page):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page


def test_the_page_allows_its_own_scripts_by_digest_and_nothing_from_elsewhere(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 2
    for script in scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert not re.search(r'(?:src|href)="(?!data:)', page.split("<script type")[0])


def test_silences_of_the_source_are_said(page):
    assert "3 silences on 2 servers cost 0.03\N{NO-BREAK SPACE}% of the samples expected; the longest, 50 minutes, on web-01 from 2026-03-11 04:10." in page


def test_every_chart_has_its_figure_and_a_sentence(page):
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, flags=re.DOTALL)[1])
    assert set(figures) == {"families", "gains", "precision-recall", "calibration", "timeline-1", "timeline-2"}
    for name in figures:
        assert re.search(rf'id="{name}" role="img" aria-label="[^"]{{20,}}"', page)


def test_the_timelines_are_of_the_worst_and_the_best_predicted_server(run_folder):
    run = read_run(run_folder)
    (_, worst), (_, best) = extremes(run)
    measured = [one.average_precision for one in run.evaluation.best.per_server if one.average_precision is not None]
    assert (worst.average_precision, best.average_precision) == (min(measured), max(measured))


def test_tiers_count_rows_and_entries_of_each_threshold(run_folder):
    run = read_run(run_folder)
    times = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 1, 23, 55), "5m", eager=True, time_zone="UTC")
    risk = [0.9 if index in (10, 11, 50) else 0.0 for index in range(288)]
    one_day = pl.DataFrame({"entity": ["a"] * 288, "time": times, "risk": risk, "label": [int(value > 0) for value in risk]})
    watch, act, page = tiers(run.policy, one_day)
    assert page.entered == pytest.approx(2, rel=0.01)
    assert (page.precision, page.rows_share) == (1.0, 3 / 288)
    assert watch.threshold < act.threshold < page.threshold


def test_a_server_without_incidents_and_a_run_without_pairs_or_policy_still_report(run_folder, tmp_path):
    document = read_json(run_folder / "evaluation" / "evaluation.json")
    families = [{**family, "per_server": [{**one, "average_precision": None} for one in family["per_server"]]} for family in document["families"]]
    folder = changed(run_folder, tmp_path, families=families, paired=[], gain=None, gain_interval=None)
    (folder / "policy.yaml").unlink()
    page = write_report(folder).read_text()
    assert "No server had an incident in the test time." in page
    assert 'id="gains"' not in page


def test_a_missing_artifact_is_one_sentence_and_leaves_no_page(run_folder, tmp_path):
    folder = changed(run_folder, tmp_path)
    (folder / "evaluation" / "curves.json").unlink()
    (folder / "report.html").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"curves\.json is missing"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_report_belongs_to_its_owner_alone(run_folder):
    assert write_report(run_folder).stat().st_mode & 0o077 == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to draw the page in")
def test_a_browser_draws_every_chart_without_a_complaint_or_a_request(run_folder):
    from playwright.sync_api import sync_playwright

    path = write_report(run_folder)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        try:
            page = browser.new_page(color_scheme="dark", viewport={"width": 390, "height": 800})
            heard = []
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            page.on("request", lambda request: heard.append(request.url) if not request.url.startswith("file:") else None)
            page.goto(path.as_uri())
            page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 6")
            assert heard == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        finally:
            browser.close()
