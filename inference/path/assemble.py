"""From looked-up rows to the model's input: detector scores beside the features, or the last ticks of the history."""

from collections import OrderedDict
from contextlib import suppress

import numpy as np

from inference.path.request import F32, BatchStep, PathRequest, Step
from presage.errors import ArtifactRefused
from presage.features.detectors import Detectors
from presage.package.contract import Contract

REMEMBERED = 4096
"""Most servers whose detector scores are kept; each is some hundred bytes beside the history they were made from."""


class DetectorScores:
    """Detector columns of looked-up rows. A server's row changes once a tick, its scores cost half a millisecond: so they are
    kept with the very history they were computed from, and computed again when time or history differ."""

    def __init__(self, detectors: Detectors) -> None:
        self._detectors = detectors
        self._kept: OrderedDict[str, tuple[float, F32, F32]] = OrderedDict()

    def __call__(self, servers: list[str], times: list[float], history: list[F32]) -> list[F32]:
        """f32[detector columns] a row."""
        rows: list[F32 | None] = []
        for server, time, seen in zip(servers, times, history, strict=True):
            kept = self._kept.get(server)
            rows.append(kept[2] if kept is not None and kept[0] == time and _same(kept[1], seen) else None)
        if missing := [index for index, row in enumerate(rows) if row is None]:
            stacked = np.stack([history[index] for index in missing])
            fresh = self._detectors.features(stacked, [servers[index] for index in missing], [times[index] for index in missing])
            for index, row in zip(missing, fresh, strict=True):
                rows[index] = row
                self._kept[servers[index]] = (times[index], history[index], row)
                self._kept.move_to_end(servers[index])
            while len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return [row for row in rows if row is not None]


def _same(a: F32, b: F32) -> bool:
    """Equal bit by bit, so that NaN equals NaN."""
    return a.shape == b.shape and bool((a.view(np.uint32) == b.view(np.uint32)).all())


def score_together(scores: DetectorScores | None) -> BatchStep:
    """Detector scores of all looked-up rows of a tick in one go: together they cost a fraction. What fails here is met again alone."""

    def step(batch: list[PathRequest]) -> None:
        if scores is None or len(batch) < 2:
            return
        online = [row for request in batch for row in request.online]
        if len(online) > 1:
            with suppress(Exception):
                scores([row.entity for row in online], [row.time for row in online], [row.history for row in online])

    return step


def assemble_input(contract: Contract, detectors: Detectors | None, scores: DetectorScores | None) -> Step:
    """Fills x of requests that named servers. Raises ArtifactRefused at start where contract and detectors do not fit."""
    names = [field.name for field in contract.inputs]
    features = contract.view.names
    if contract.kind == "sequence":
        if names != list(contract.view.metrics) or not 0 < contract.history <= contract.view.view.history:
            raise ArtifactRefused("contract", f"contract.json: {contract.name} reads {contract.history} ticks of metrics that its feature view does not keep.")
    elif names != features + (detectors.names if detectors else []) or len(names) != len(features) + contract.detectors:
        raise ArtifactRefused("contract", f"contract.json: the inputs of {contract.name} are not its feature view's names followed by its detectors'.")

    def step(request: PathRequest) -> None:
        if request.servers is None:
            if contract.kind == "feature_row" and request.x is not None:
                request.row = request.x[:, : len(features)]
        elif not request.online:
            return  # nothing was looked up: no model can be asked
        elif contract.kind == "sequence":
            request.x = np.stack([history[-contract.history :] for history in request.history])
        elif scores is None:
            request.x = request.row
        else:
            assert request.row is not None
            times = [time for time in request.time if time is not None]
            request.x = np.concatenate([request.row, np.stack(scores(request.servers, times, request.history))], axis=1)

    return step
