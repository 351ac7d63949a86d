"""(e) One answer of the bad release, traced: whatever an auditor may ask of it, on one page."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.narration import Narrator
from demo.stage import Stage
from presage.errors import InputError
from presage.files import write_bytes
from presage.lineage import Trace, to_html, trace

_WITHIN = 60.0


def show(stage: Stage, tell: Narrator, answer: dict[str, Any], page: Path) -> None:
    """page: where the trace's own page goes."""
    tell.begin(
        "e", "One answer, traced to the end",
        "Weeks later somebody asks about one answer that the bad release gave. Nobody kept anything for that; everything was kept.",
    )  # fmt: skip
    prediction = answer["prediction_id"]
    tell.say(f"presage audit trace {prediction}")
    found = _traced(stage, prediction)
    write_bytes(page, to_html(found).encode())
    release, origin, run = found.release, found.origin, found.run
    given, stood, approvals, policies = found.answer, found.standing, found.approvals, found.policies
    tell.claim(
        "The answer as it was given, with its inputs",
        abs(given.risk - answer["risk"]) < 1e-6 and found.inputs is not None,
        f"{given.server} at {given.time:%Y-%m-%d %H:%M:%S}: risk {given.risk:.1%}, tier {given.tier}, rung {given.rung}; asked by {given.caller}"
        f"{f'; {len(found.inputs.values)} inputs' if found.inputs else ''}",
    )
    tell.claim(
        "Release, member, data snapshot, code, evaluation and card, each by its digest",
        release is not None and origin is not None and found.evaluation is not None and found.card is not None and release.refused is None,
        [
            f"{release.uri if release else ''} signed by {release.signer if release else ''}",
            f"run {origin.run}, data {origin.data} {origin.digest}" if origin else "",
            f"code {origin.code if origin else ''}{f', commit {run.commit}' if run and run.commit else ''}",
        ],
    )
    tell.claim(
        "Who approved it, and whether it was a canary",
        approvals is not None and approvals.lacking is None and any(one.role == "canary" for one in stood),
        [
            *(f"{one.approver} as {one.role}, {one.issued} until {one.expires}" for one in (approvals.given if approvals else []) if one.refused is None),
            *(f"{one.role} in {one.overlay}/{one.application}, {one.percent} percent of the requests" for one in stood),
        ],
    )
    kinds = [change.kind for change in found.commits]
    tell.claim(
        "The commits that brought it and took it away",
        "brought" in kinds and "took away" in kinds,
        [f"{one.kind}: {one.commit.id[:12]} {one.commit.subject}" for one in found.commits],
    )
    tell.claim(
        "The policy lines that applied, and an audit log that verifies",
        bool(policies and policies.lines) and found.audit is not None and found.audit.good is True,
        [*(f"{line.file}:{line.line}  {line.text.strip()}" for line in (policies.lines if policies else [])[:6]),
         f"{len(found.audit.entries) if found.audit else 0} entries of the audit log about this release; {len(found.missing)} facts are missing"],
    )  # fmt: skip
    tell.figure("facts missing in the trace", str(len(found.missing)))
    for one in found.missing:
        tell.say(f"missing: {one.what}: {one.because}")


def _traced(stage: Stage, prediction: str) -> Trace:
    """Once its record has come to the prediction log."""
    until = time.monotonic() + _WITHIN
    while True:
        try:
            return trace(
                prediction, log=stage.state.plane / "volumes" / "prediction-log", state=stage.state, store=stage.store, trust=stage.trust,
                repository=stage.repository.root, branch="main", now=datetime.now(UTC),
            )  # fmt: skip
        except InputError:
            if time.monotonic() > until:
                raise
        time.sleep(1.0)
