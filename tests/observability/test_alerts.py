"""Every alert fires when it should and is silent when not: promtool's own unit tests, over the committed rules."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from watched import groups, rules

CASES = sorted((Path(__file__).parent / "alerts").glob("*.test.yaml"))
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian package prometheus)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the rules of all PrometheusRules lie in one rule file, `rules.yaml`."""
    made = tmp_path_factory.mktemp("rules")
    (made / "rules.yaml").write_text(yaml.safe_dump({"groups": groups()}, sort_keys=False, allow_unicode=True))
    return made


def promtool(folder, *arguments):
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_rules(folder):
    promtool(folder, "check", "rules", "rules.yaml")


@pytest.mark.long
@needs_promtool
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name.partition(".")[0])
def test_alerts_fire_when_they_should_and_only_then(folder, path):
    shutil.copy(path, folder / path.name)
    promtool(folder, "test", "rules", path.name)


def test_every_alert_has_a_case_where_it_fires_and_one_where_it_is_silent():
    fires, silent = defaultdict(int), defaultdict(int)
    for path in CASES:
        document = yaml.safe_load(path.read_text())
        assert document["rule_files"] == ["rules.yaml"]
        for case in document["tests"]:
            assert case["name"] and case["input_series"], path.name
            for expected in case["alert_rule_test"]:
                (fires if expected["exp_alerts"] else silent)[expected["alertname"]] += 1
    alerts = {rule["alert"] for rule in rules("alert")}
    assert fires.keys() == alerts
    assert silent.keys() == alerts
