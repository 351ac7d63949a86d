"""(b) A release with a planted regression: well signed, approved, and wrong. The judge takes it back by a commit."""

import time
from datetime import UTC, datetime
from typing import Any

from demo.callers import Callers
from demo.narration import Narrator
from demo.planted import worse
from demo.stage import PLACE, Stage
from presage.package.reference import Reference
from presage.predictions import plane_access
from presage.release.judge import Outcome, ReleaseJudge
from presage.release.plan import start
from presage.release.sources.plane import PlaneSource

_LIVE_WITHIN, _JUDGED_WITHIN = 60.0, 180.0


def show(stage: Stage, tell: Narrator, stable: Reference, server: str) -> dict[str, Any]:
    """The first prediction that the bad release gave."""
    tell.begin(
        "b", "A bad release is taken back",
        "Its calibration was mixed up: every risk is 0.3 too high. It is well signed and within its contract, and somebody approved it.",
    )  # fmt: skip
    before = stage.releasing.read().standing
    bad = worse(stage.store, stage.key, stage.policy, stable, scratch=stage.folder / "planted").reference
    stage.approve(bad, f"incident:{bad.version}: approved")
    releasing, source = stage.releasing, PlaneSource(stage.state, PLACE)
    with Callers(plane_access(stage.state), [server]) as callers:
        _until(lambda: callers.total > 100 and source.live(releasing.read().standing) == "", _LIVE_WITHIN, "the stable release answers")
        situation = releasing.read(str(bad))
        taken = releasing.take(situation, start(situation.standing, str(bad), situation.rules), datetime.now(UTC))
        began = time.monotonic()
        tell.say(f"commit {taken.commit[:12]}: incident:{bad.version} {taken.because}")
        version = str(bad.version)
        _until(lambda: callers.answered[version] > 0, _LIVE_WITHIN, "the canary answers")
        live = time.monotonic() - began
        tell.claim(
            f"The gate passed it, and {live:.1f} s after the commit it has its share of the requests, through mutual TLS",
            live <= _LIVE_WITHIN,
            [f"{next(one.name for one in stage.status.processes if one.release == str(bad))}: {bad}"],
        )
        judge = ReleaseJudge(releasing, source, stage.state.root / "release")
        outcome = _judged(judge)
        _until(lambda: source.live(releasing.read().standing) == "", _LIVE_WITHIN, "the canary is gone")
        asked = callers.total
    assert outcome.taken is not None
    tell.claim(
        "The judge took it back by a commit, with the numbers in a signed record",
        outcome.kind == "reverted" and releasing.read().standing == before,
        [outcome.words, f"commit {outcome.taken.commit[:12]}, {outcome.taken.record}"],
    )
    touched = callers.answered[version]
    tell.claim(
        f"Nobody's request failed: {asked} were asked, {touched} of them got the bad release's answer",
        not callers.refused and touched > 0,
        [", ".join(f"incident:{name} {count}" for name, count in sorted(callers.answered.items())), *(f"{why}: {n}" for why, n in callers.refused.items())],
    )
    tell.figure("answers of the bad release", f"{touched} of {asked}")
    tell.figure("failed requests", str(sum(callers.refused.values())))
    tell.figure("commit to traffic", f"{live:.1f} s")
    return callers.first[version]


def _judged(judge: ReleaseJudge) -> Outcome:
    until = time.monotonic() + _JUDGED_WITHIN
    outcome = judge.tick(datetime.now(UTC))
    while outcome.kind != "reverted" and time.monotonic() < until:
        time.sleep(0.5)
        outcome = judge.tick(datetime.now(UTC))
    return outcome


def _until(holds: Any, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)
