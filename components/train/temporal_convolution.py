"""A small causal convolution over the last 48 ticks of per-tick means: the sequence model, meant for GPUs.

Everything lies in the graph: missing values become zeros with a channel that says so, metrics are standardised, and each
window is also seen relative to its own mean, so that servers of different size look alike.
"""

import io
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from components.detect.detection import by_entity, on_grid, seconds
from components.train.budget import Budget
from components.train.candidates import average_precision
from components.train.fitted import F32, Fitted
from presage.features.declaration import BoundView

STEPS = 48
CHANNELS, DILATIONS, DROPOUT, LEVEL_NOISE = 16, (1, 2, 4, 8, 16), 0.2, 1.0
BATCH, RATE, DECAY = 256, 2e-3, 1e-2
EPOCHS, PATIENCE, EPOCH_ROWS = 12, 3, 20_000
STARTS = 0.1  # share of a batch shown as the start of a server
CLIP = 10.0


@dataclass(frozen=True)
class Sequences:
    """Windows over one shared array: ticks f32[ticks of all entities, metrics] with STEPS − 1 unseen ones before each entity;
    ends int[rows], the place of each row's own tick."""

    ticks: F32
    ends: npt.NDArray[np.intp]

    def window(self, rows: npt.NDArray[np.intp]) -> F32:
        """f32[rows, STEPS, metrics], oldest first."""
        cut: F32 = self.ticks[self.ends[rows][:, None] + np.arange(1 - STEPS, 1)]
        return cut

    def every(self) -> F32:
        return self.window(np.arange(len(self.ends)))


def sequences(ticks_file: Path, view: BoundView, keys: pl.DataFrame) -> Sequences:
    """The windows of `keys` (entity, time), in their order, from ticks.parquet."""
    step = view.view.tick / timedelta(seconds=1)
    pieces, starts, count = [], {}, 0
    for entity, rows in by_entity(pl.read_parquet(ticks_file).sort("entity", "time")):
        grid, clock = on_grid(rows, view.metrics, step)
        pieces += [np.full((STEPS - 1, grid.shape[1]), np.nan, np.float32), grid]
        starts[entity] = (count + STEPS - 1, clock[0])
        count += STEPS - 1 + len(grid)
    where = [starts[entity] for entity in keys["entity"]]
    first, clock0 = (np.array([pair[i] for pair in where]) for i in (0, 1))
    ends = (first + np.round((seconds(keys["time"]) - clock0) / step)).astype(np.intp)
    return Sequences(np.concatenate(pieces), ends)


def fit(data: Sequences, labels: npt.NDArray[np.int8], folds: npt.NDArray[np.int8], *, budget: Budget, seed: int, threads: int) -> Fitted:
    """data, labels int8[rows], folds int8[rows] (−1 = between blocks): of part train. The last block with both classes says
    when to stop, and is not learnt from."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    random = np.random.default_rng(seed)
    learnt, judged = _parts(labels, folds)
    model = _network(*_standard(data, learnt))
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    loss_of = torch.nn.BCEWithLogitsLoss()
    best: tuple[float, int, dict[str, Any]] | None = None
    history = []
    for epoch in range(EPOCHS):
        model.train()
        order = random.permutation(learnt)[:EPOCH_ROWS]
        cut = False
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            x = _with_starts(data.window(batch), random)
            optimizer.zero_grad()
            loss_of(model.margin(torch.from_numpy(x)), torch.from_numpy(labels[batch].astype(np.float32))).backward()
            optimizer.step()
            if budget.runs_out(0.8):  # the rest is for judging and exporting
                cut = True
                break
        precision = average_precision(labels[judged], predict(model, data.window(judged))) if len(judged) else float(epoch)
        history.append(round(precision, 4))
        if best is None or precision > best[0]:
            best = (precision, epoch, {name: value.clone() for name, value in model.state_dict().items()})
        if cut or epoch - best[1] >= PATIENCE:
            break
    assert best is not None
    model.load_state_dict(best[2])
    model.eval()
    parameters = {"steps": STEPS, "channels": CHANNELS, "dilations": list(DILATIONS), "epochs": len(history), "best_epoch": best[1] + 1,
                  "block_average_precision": history if len(judged) else [], "weights": sum(p.numel() for p in model.parameters())}  # fmt: skip
    return Fitted(_exported(model, data.ticks.shape[1]), lambda x: predict(model, x), parameters)


def _parts(labels: npt.NDArray[np.int8], folds: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """(rows to learn from, rows to judge by); nothing to judge by where no block but the first has both classes."""
    for block in range(int(folds.max(initial=-1)), 0, -1):
        judged, learnt = folds == block, (folds >= 0) & (folds < block)
        if 0 < labels[judged].sum() < judged.sum() and 0 < labels[learnt].sum() < learnt.sum():
            return np.flatnonzero(learnt), np.flatnonzero(judged)
    return np.arange(len(labels)), np.empty(0, np.intp)


def _with_starts(x: F32, random: np.random.Generator) -> F32:
    """Take everything before a random tick away from a share of the windows."""
    for row in np.flatnonzero(random.random(len(x)) < STARTS):
        x[row, : random.integers(1, STEPS)] = np.nan
    return x


def _standard(data: Sequences, learnt: npt.NDArray[np.intp]) -> tuple[F32, F32]:
    """Mean and spread a metric over the ticks of the learnt rows; a metric never seen gets 0 and 1."""
    values = data.ticks[data.ends[learnt]].astype(np.float64)
    seen = np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0.0).sum(axis=0) / count)
    return mean.astype(np.float32), np.where(spread > 1e-9, spread, 1.0).astype(np.float32)


def _network(mean: F32, scale: F32) -> Any:
    import torch
    from torch import nn

    class Network(nn.Module):  # type: ignore[misc]  # torch is skipped by the type checker
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.from_numpy(mean))
            self.register_buffer("scale", torch.from_numpy(scale))
            sizes = [3 * len(mean)] + [CHANNELS] * len(DILATIONS)
            self.convolutions = nn.ModuleList(nn.Conv1d(sizes[i], CHANNELS, 3, dilation=d) for i, d in enumerate(DILATIONS))
            self.drop = nn.Dropout(DROPOUT)
            self.readout = nn.Linear(3 * CHANNELS, 1)

        def margin(self, x: Any) -> Any:
            missing = torch.isnan(x)
            seen = 1.0 - missing.float()
            z = torch.where(missing, torch.zeros_like(x), torch.clamp((x - self.mean) / self.scale, -CLIP, CLIP))
            own = z.sum(dim=1, keepdim=True) / torch.clamp(seen.sum(dim=1, keepdim=True), min=1.0)
            level = z
            if self.training:  # a server is not to be known by its level: that would be learnt by heart
                level = z + LEVEL_NOISE * torch.randn(z.shape[0], 1, z.shape[2]) * seen
            hidden = torch.cat([level, (z - own) * seen, seen], dim=2).transpose(1, 2)
            for place, (convolution, dilation) in enumerate(zip(self.convolutions, DILATIONS, strict=True)):
                new = torch.relu(convolution(nn.functional.pad(hidden, (2 * dilation, 0))))
                hidden = new if place == 0 else hidden + self.drop(new)
            read = torch.cat([hidden[:, :, -1], hidden.mean(dim=2), hidden.amax(dim=2)], dim=1)
            return self.readout(read).reshape(-1)

        def forward(self, x: Any) -> Any:
            return torch.sigmoid(self.margin(x))

    return Network()


def predict(model: Any, x: F32, batch: int = 2048) -> npt.NDArray[np.float64]:
    """Probabilities f64[rows]."""
    import torch

    model.eval()
    with torch.no_grad():
        parts = [model(torch.from_numpy(np.ascontiguousarray(x[i : i + batch]))).numpy() for i in range(0, len(x), batch)]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


def _exported(model: Any, metrics: int) -> bytes:
    """The ONNX graph, batch free, opset of torch's exporter."""
    import contextlib
    import logging
    import warnings

    import torch

    example = torch.zeros((2, STEPS, metrics))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(model, (example,), input_names=["x"], output_names=["score"], dynamo=True, dynamic_shapes=({0: "batch"},), verbose=False)
    proto = program.model_proto
    for entry in (proto.graph.value_info, proto.metadata_props, proto.graph.metadata_props):
        del entry[:]
    for node in proto.graph.node:  # where torch's own source lay on the machine that trained
        del node.metadata_props[:]
        node.doc_string = ""
    return bytes(proto.SerializeToString(deterministic=True))
