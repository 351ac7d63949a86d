"""(c) An unapproved release, then a tampered one, are committed: each is refused at three places, each with its reason, while the old one answers."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.callers import Callers
from demo.narration import Narrator
from demo.planted import another, tampered
from demo.stage import PLACE, Stage, serve
from presage.governance.release_files import APPROVALS, REVOCATIONS
from presage.local.overview import FollowedApplication
from presage.local.record import read_plan
from presage.manifests.render import render_overlay, write_rendered
from presage.manifests.verify import verify
from presage.package.reference import Reference
from presage.predictions import plane_access

_WITHIN = 60.0
_GATE = "presage.package.gate"


def show(stage: Stage, tell: Narrator, stable: Reference, server: str) -> None:
    tell.begin(
        "c", "Nothing unapproved, nothing tampered with",
        "Two people commit what they should not. CI, admission and the gate look at different things; each refuses alone.",
    )  # fmt: skip
    with Callers(plane_access(stage.state), [server]) as callers:
        unapproved = another(stage.store, stage.key, stage.policy, stable).reference
        _refused_three_times(stage, tell, "An unapproved release", unapproved)
        good = another(stage.store, stage.key, stage.policy, stable).reference
        stage.approve(good, f"incident:{good.version}: approved")
        forged = tampered(stage.store, good)
        tell.say(f"somebody swaps the model of incident:{good.version} in the store and commits the new digest; the approval is of the old one")
        _refused_three_times(stage, tell, "A tampered release", forged)
    old = str(stable.version)
    tell.claim(
        "The old release kept answering",
        set(callers.answered) == {old} and not callers.refused,
        f"{callers.answered[old]} answers by incident:{old}, {sum(callers.refused.values())} failures",
    )


def _refused_three_times(stage: Stage, tell: Narrator, what: str, release: Reference) -> None:
    def serving(tree: Path) -> None:
        serve(tree, str(release))
        write_rendered(tree / "manifests", PLACE.overlay, render_overlay(tree / "manifests", PLACE.overlay))

    _until(lambda: _settled(stage, stage.repository.head()))
    commit = stage.change(f"incident: serve {release.version}", serving, compiles=False)
    tell.say(f"commit {commit[:12]} lets overlay {PLACE.overlay} serve incident:{release.version}")
    with stage.repository.tree(commit) as tree:
        found = [one for one in verify(tree / "manifests", overlays=[PLACE.overlay], now=datetime.now(UTC)).errors if one.rule.startswith("approvals/")]
    tell.claim(f"{what}: refused by CI", bool(found), [f"presage verify: {one.rule}: {one.object} {one.message}" for one in found])
    _until(lambda: _application(stage).state == "Refused")
    said = _application(stage)
    tell.claim(f"{what}: refused at admission", said.state == "Refused" and said.applied != commit, said.message)
    refusal = at_the_gate(stage, release)
    tell.claim(f"{what}: refused at the gate", refusal.startswith("refused"), refusal)
    back = stage.change(f"Revert {commit[:12]}", lambda tree: _take_back(stage, commit, tree), compiles=False)
    _until(lambda: _settled(stage, back))


def at_the_gate(stage: Stage, release: Reference) -> str:
    """What the gate's own program says of a release, as a Pod here would run it: same keys, and the approvals and revocations that its Pod mounts."""
    mounted = stage.folder / "mounted"
    plan = read_plan(stage.state.plane)
    assert plan is not None
    objects: Any = plan.objects
    here = [one for one in objects if one["metadata"].get("namespace") == PLACE.application]
    for name in (APPROVALS, REVOCATIONS):
        shutil.rmtree(mounted / name, ignore_errors=True)
        (mounted / name).mkdir(parents=True)
        found = next(one for one in here if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", name))
        for file, text in found["data"].items():
            (mounted / name / file).write_text(text)
    environment = {
        "PATH": os.environ.get("PATH", ""), "PRESAGE_RELEASE_STORE": str(stage.state.releases), "PRESAGE_TRUST_KEYS": str(stage.state.keys),
        "PRESAGE_APPROVALS": str(mounted / APPROVALS), "PRESAGE_REVOCATIONS": str(mounted / REVOCATIONS / "revocations.json"),
    }  # fmt: skip
    command = [sys.executable, "-m", _GATE, str(release), str(mounted / "models")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode == 1 else f"exit code {done.returncode}: {done.stdout.strip()[-300:]}"


def _take_back(stage: Stage, commit: str, tree: Path) -> None:
    for path in (f"{PLACE.folder}/release.yaml", f"manifests/rendered/{PLACE.overlay}/{PLACE.application}/manifest.yaml"):
        before = stage.repository.read(f"{commit}^", path)
        assert before is not None
        (tree / path).write_bytes(before)


def _settled(stage: Stage, commit: str) -> bool:
    """Whether the plane has taken a commit."""
    return stage.followed.commit == commit and _application(stage).state == "Synced"


def _application(stage: Stage) -> FollowedApplication:
    return next(one for one in stage.followed.applications if one.name == PLACE.application)


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + _WITHIN
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {_WITHIN:.0f} s")
        time.sleep(0.05)
