"""What was behind one prediction: `presage audit trace PREDICTION_ID`.

    found = trace(prediction_id, log=folder, state=State.open(), store=store, trust=trust, repository=root, branch=None, now=datetime.now(UTC))
    to_text(found)    to_html(found)    found.missing

    page         its types: each fact with its source, each missing one with the reason
    tracing      the parts together
    answer       the answer, its inputs, what else its release decided (the prediction log)
    packages     release, members, data snapshot and code, evaluation, card (the store)
    runs         the run's events, the commit of its code, its number in MLflow (the state; unsigned)
    history      a branch at a moment (Git)
    standing     stable, canary or shadow; the commits that brought it and took it away (Git; signed step records)
    policies     the lines that applied (Git, at the answer's time)
    approvals    who approved (Git, at the answer's time)
    audited      the audit log about the release
    sections     the page as headings and rows
    rendering    as text and as HTML
    schema       the JSON Schema of the page
"""

from presage.lineage.page import Missing, Trace
from presage.lineage.rendering import to_html, to_text
from presage.lineage.tracing import trace

__all__ = ["Missing", "Trace", "to_html", "to_text", "trace"]
