"""Looks the servers' feature rows up; checks that they are of the version the model was trained on.

Nothing is guessed: an unknown server is the caller's mistake (404), rows of another feature version or no rows at all are
ours (503). A row whose windows are less than half covered is `warming`; it still goes on.
"""

from collections.abc import Callable

import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.online import OnlineFeatures
from inference.path.request import PathRequest, Step
from presage.errors import RequestRefused
from presage.features.warming import warming_text
from presage.package.contract import Contract


def look_up_features(store: OnlineFeatures, contract: Contract, metrics: ServingMetrics, wall: Callable[[], float]) -> Step:
    """Fills row, history, time, age, coverage, warming of requests that name servers; `wall`: Unix seconds."""
    view = contract.view.view
    enough = float(np.float32(view.min_coverage))
    version = contract.feature_version

    def step(request: PathRequest) -> None:
        servers = request.servers
        if servers is None:
            rows = request.rows
            request.time, request.age, request.coverage, request.warming = [None] * rows, [None] * rows, [None] * rows, [None] * rows
            return
        found, now = store.read(servers, wall())
        values, history, oldest = [], [], 0.0
        times: list[float | None] = []
        ages: list[float | None] = []
        coverages: list[list[float] | None] = []
        warming: list[str | None] = []
        for index, row in enumerate(found):
            if row is None:
                metrics.features_missing.add(metrics.view)
                message = f"server[{index}] is {_quoted(servers[index])}: the online store has no such server. GET /servers names them."
                raise RequestRefused(404, "unknown_server", message)
            if row.version != version:
                metrics.features_missing.add(metrics.view)
                message = f"The online row of {_quoted(servers[index])} has feature version {_quoted(row.version)}, the model reads {version}."
                raise RequestRefused(503, "feature_version", f"{message} Start the feature refresh that belongs to this release.")
            coverage = [round(share, 4) for share in row.coverage.tolist()]
            values.append(row.values)
            history.append(row.history)
            times.append(row.time)
            age = max(0.0, now - row.time)
            oldest = max(oldest, age)
            ages.append(age)
            coverages.append(coverage)
            warming.append(None if min(coverage) >= enough else warming_text(row.coverage, view))
        metrics.feature_age.set(oldest, metrics.view)
        request.row = values[0][None] if len(values) == 1 else np.stack(values)
        request.history, request.time, request.age, request.coverage, request.warming = history, times, ages, coverages, warming

    return step


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
