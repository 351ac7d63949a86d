"""Why: the inputs that moved the score most, exact Shapley values of the model's own trees, and which metric each is about.

Only tree models have them here. A linear or a sequence model's reasons list stays empty: coefficients of an imputed and
scaled graph, or gradients, would be a different quantity under the same name.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from inference.path.request import PathRequest, Reason, Step
from presage.features.carriers import carrier, metric_shares
from presage.features.detectors import Detectors
from presage.package.contract import Contract
from presage.package.treeshap import TreeExplainer

When = Literal["always", "on_request", "never"]


def add_reasons(explainers: Mapping[str, TreeExplainer | None], contract: Contract, detectors: Detectors | None, when: When) -> Step:
    """`explainers` by what answered: a member's id, or `ensemble`.

    Fills reasons: [] a row where none were asked for, the policy forbids them or the answering rung has no trees."""
    names, metric_of, first = [field.name for field in contract.inputs], contract.view.metric_of, len(contract.view.names)

    def step(request: PathRequest) -> None:
        explainer = None if request.score is None else explainers.get(request.used)
        if explainer is None or when == "never" or not (request.explain or when == "always"):
            request.reasons = [[] for _ in range(request.rows)]
            return
        assert request.x is not None
        contributions = [explainer.contributions(row) for row in request.x]
        moved = [_largest(contribution, request.top) for contribution in contributions]
        carried = _carriers(request, moved, first, detectors)
        request.reasons = [
            [
                Reason(
                    names[index],
                    None if np.isnan(row[index]) else float(row[index]),
                    float(contribution[index]),
                    carried.get((place, index)) if index >= first else metric_of.get(names[index]),
                )
                for index in indices
            ]
            for place, (row, contribution, indices) in enumerate(zip(request.x, contributions, moved, strict=True))
        ]

    return step


def _largest(contribution: npt.NDArray[np.float64], top: int) -> list[int]:
    largest: list[int] = np.argsort(-np.abs(contribution), kind="stable")[:top].tolist()
    return [index for index in largest if contribution[index]]


def _carriers(request: PathRequest, moved: list[list[int]], first: int, detectors: Detectors | None) -> dict[tuple[int, int], str | None]:
    """(row, input) → the metric that carries this detector score. Computed for the rows that name one, and known only where the
    row was looked up: a caller's row comes without the history that its scores were made from."""
    rows = [place for place, indices in enumerate(moved) if any(index >= first for index in indices)]
    if detectors is None or request.servers is None or not rows:
        return {}
    servers, times = request.servers, [request.time[place] for place in rows]
    shares = metric_shares(detectors, np.stack([request.history[place] for place in rows]), [servers[place] for place in rows], np.array(times, np.float64))
    return {
        (place, index): carrier(share[index - first], detectors.metrics)
        for place, share in zip(rows, shares, strict=True)
        for index in moved[place]
        if index >= first
    }
