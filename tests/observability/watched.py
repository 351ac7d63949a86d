"""What is committed about watching: rules, dashboard, the list of metrics."""

import json
from pathlib import Path

import yaml

from presage.manifests.objects import Manifest, parse_objects

ROOT = Path(__file__).parents[2]
BASE = ROOT / "manifests" / "base" / "observability"
METRICS = yaml.safe_load((ROOT / "manifests" / "metrics.yaml").read_text())


def objects(kind: str) -> list[Manifest]:
    return [found for path in sorted(BASE.glob(f"{kind.lower()}.*.yaml")) for found in parse_objects(path.read_text(), path.name)]


def groups() -> list[dict]:
    """Of all PrometheusRules, as a rule file has them."""
    return [group for found in objects("PrometheusRule") for group in found["spec"]["groups"]]


def rules(kind: str) -> list[dict]:
    """kind: `alert` or `record`."""
    return [rule for group in groups() for rule in group["rules"] if kind in rule]


def panels() -> list[dict]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard() -> dict:
    return json.loads((BASE / "dashboard.json").read_text())


def declared() -> dict[str, tuple[str, set[str]]]:
    """Metric → (type, every label that it may carry), of all programs, ours and others'."""
    found: dict[str, tuple[str, set[str]]] = {}
    ours = [metric for those in METRICS["programs"].values() for metric in those]
    others = [metric for other in METRICS["others"].values() for metric in other["metrics"]]
    for metric in (*ours, *others):
        kind, labels = found.get(metric["name"], (metric["type"], set()))
        assert kind == metric["type"], metric
        found[metric["name"]] = kind, labels | set(metric["labels"])
    return found


def series() -> dict[str, set[str]]:
    """Every name that an expression may use, with its labels: a histogram's three, and what a scrape adds."""
    added = set(METRICS["scrape"]["all"]) | set(METRICS["scrape"]["predictors"])
    found: dict[str, set[str]] = {}
    for name, (kind, labels) in declared().items():
        if kind == "histogram":
            found |= {f"{name}_bucket": labels | added | {"le"}, f"{name}_sum": labels | added, f"{name}_count": labels | added}
        else:
            found[name] = labels | added
    return found
