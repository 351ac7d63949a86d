"""(d) One line of a policy is changed, and every object that it changes is listed, in sentences; Git has changed nothing else."""

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from demo.narration import Narrator
from demo.stage import Stage
from presage.governance.repository import Policies
from presage.governance.retention.changes import compiled_changes, times

_POLICY = Path("policies") / "retention.yaml"
_FROM, _TO = "      high: 365d\n", "      high: 180d\n"
_WITHIN = 60.0


def show(stage: Stage, tell: Narrator) -> None:
    tell.begin("d", "One line of policy", "Data protection wants prediction logs of high-tier models kept for 180 days, not 365. Nobody edits anything else.")
    before = stage.repository.head()
    commit = stage.change("retention: prediction logs of high-tier models, 180 days", _shorten)
    now = datetime.now(UTC)
    with stage.repository.tree(before) as old, stage.repository.tree(commit) as new:
        sentences = list(times(Policies.read(old).retention_terms, Policies.read(new).retention_terms, now))
        objects = compiled_changes(old, new, now)
    tell.claim("The change in sentences, for whoever reviews it", len(sentences) == 1, sentences)
    listed = {str(_POLICY), *(one.path for one in objects)}
    listed |= {f"manifests/rendered/{name}/manifest.yaml" for one in objects for name in one.applications}
    changed = _changed(stage, before, commit)
    tell.claim(
        f"{len(objects)} objects are compiled anew from it, and the commit changes no other file",
        bool(objects) and changed == listed,
        [*(f"{one.label}: {'; '.join(one.sentences)}; in {', '.join(one.applications) or one.path}" for one in objects), *sorted(changed ^ listed)],
    )
    until = time.monotonic() + _WITHIN
    while stage.followed.commit != commit or any(one.state != "Synced" for one in stage.followed.applications):
        if time.monotonic() > until:
            raise TimeoutError(f"the plane has not taken {commit[:12]} within {_WITHIN:.0f} s")
        time.sleep(0.1)
    tell.claim("The plane runs it", True, f"{', '.join(one.name for one in stage.followed.applications)}: Synced at {commit[:12]}")
    tell.figure("files that one line changed", str(len(changed)))


def _shorten(tree: Path) -> None:
    path = tree / _POLICY
    text = path.read_text(encoding="utf-8")
    before, rule, after = text.partition("    store: prediction-log\n")
    assert rule and _FROM in after, "the policy keeps prediction logs of high-tier models for a year"
    path.write_text(before + rule + after.replace(_FROM, _TO, 1), encoding="utf-8")


def _changed(stage: Stage, before: str, commit: str) -> set[str]:
    command = ["git", "-C", str(stage.repository.root), "diff", "--name-only", before, commit]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
