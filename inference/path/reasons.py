"""Why: the three inputs that moved the score most, exact Shapley values of the model's own trees.

Only tree models have them here. A linear or a sequence model's reasons list stays empty: coefficients of an imputed and
scaled graph, or gradients, would be a different quantity under the same name.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from inference.path.request import PathRequest, Reason, Step
from presage.package.treeshap import TreeExplainer

When = Literal["always", "on_request", "never"]


def add_reasons(explainers: Sequence[TreeExplainer | None], names: list[str], when: When, top: int = 3) -> Step:
    """Fills reasons: [] a row where none were asked for, the policy forbids them or the answering rung has no trees."""

    def step(request: PathRequest) -> None:
        explainer = None if request.score is None else explainers[request.member]
        if explainer is None or when == "never" or not (request.explain or when == "always"):
            request.reasons = [[] for _ in range(request.rows)]
            return
        assert request.x is not None
        request.reasons = []
        for row in request.x:
            contribution = explainer.contributions(row)
            largest = np.argsort(-np.abs(contribution), kind="stable")[:top].tolist()
            moved = [index for index in largest if contribution[index]]
            request.reasons.append([Reason(names[index], None if np.isnan(row[index]) else float(row[index]), float(contribution[index])) for index in moved])

    return step
