"""One real pipeline run over a small simulated fleet, with budgets of seconds: what other rooms' tests stand on."""

import re
from pathlib import Path

from presage.runs import Run, run
from presage.state import State

ROOT = Path(__file__).parents[2]
SOURCE = "simulated:servers=6,days=6,seed=7,incidents=4"
BUDGET = 4  # seconds a family


def small_policy(folder: Path) -> Path:
    """The committed policy with small training budgets."""
    text = (ROOT / "policies" / "models" / "incident.yaml").read_text()
    budgets = re.compile(r"^(  (?:logistic_regression|random_forest|lightgbm|temporal_convolution)): \d+$", re.MULTILINE)
    small, changed = budgets.subn(rf"\1: {BUDGET}", text)
    assert changed == 4
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "incident.yaml"
    path.write_text(small)
    return path


def train_small(root: Path) -> Run:
    """Run the whole pipeline into a new state directory at `root`."""
    return run("incident-training", source=SOURCE, state=State.open(root), policy=small_policy(root / "policy"))
