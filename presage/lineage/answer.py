"""The answer and its inputs, as the prediction log has them, and what else its release decided."""

import re
from pathlib import Path
from typing import Any

import msgspec

from presage.lineage.page import Answer, Count, Input, Inputs, Missing, Others
from presage.prediction_log import ask

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COUNTED = "SELECT tier, shadow_of <> '' AS shadow, count(*) AS n FROM decisions WHERE release = '{}' GROUP BY tier, shadow ORDER BY tier, shadow"
_LISTED = "SELECT prediction_id, time, server, risk, tier FROM decisions WHERE release = '{}' ORDER BY time"


def read_answer(log: Path, prediction_id: str, subject_keys: Path | None) -> tuple[Answer, Inputs | None, list[Missing]]:
    """Raises InputError where the log has no such decision."""
    shown = ask("show", log=log, prediction_id=prediction_id, subject_keys=subject_keys)
    source = f"prediction log {log}: {shown['file']}"
    answer = msgspec.convert({**shown, "source": source}, Answer, strict=False)
    return answer, *_inputs(shown, source)


def _inputs(shown: dict[str, Any], source: str) -> tuple[Inputs | None, list[Missing]]:
    values = msgspec.convert(shown["inputs"], list[Input])
    history = msgspec.convert(shown["history"], list[Input])
    looked_up = shown["feature_time"] is not None
    missing = []
    if shown["opened"] == "sealed":
        because = f"sealed for subject {shown['subject']}, whose key was dropped (`presage log erase`) or is not here; --subject-keys names another key file"
        missing.append(Missing("inputs", "whom it is about, and what else was sealed", because))
    if not values:
        wanted = f"the online row of {shown['server'] or 'its server'} at {shown['feature_time']}" if looked_up else "the row that the caller gave"
        because = "the log does not hold it: it was masked on its way there, or was kept its time and is gone"
        return None, [*missing, Missing("inputs", wanted, "it is found by what is sealed" if missing else because)]
    gone = [one.name for one in values if one.values[-1:] == [None]]
    because = "not measured then, or masked on their way into the log; they are null"
    missing += [Missing("inputs", f"{len(gone)} of {len(values)} values", because)] if gone else []
    return Inputs("looked up" if looked_up else "given", values, history, source), missing


def read_others(log: Path, release: str) -> tuple[Others | None, list[Missing]]:
    """release: digest of its document, as the log has it."""
    if not _DIGEST.fullmatch(release):
        return None, [Missing("others", "what else this release decided", f"the log calls it {release[:80]!r}, which is no digest")]
    found = ask("query", log=log, sql=_COUNTED.format(release), most=100)
    answered = [Count(tier, n) for tier, shadow, n in found["rows"] if not shadow]
    shadows = sum(n for _, shadow, n in found["rows"] if shadow)
    command = f'presage log query "{_LISTED.format(release)}"'
    return Others(sum(one.decisions for one in answered), answered, shadows, command, f"prediction log {log}"), []
