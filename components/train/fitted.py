"""What a family hands back, and the check that its graph is the model it came from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from presage.errors import RunFailed
from presage.package.trees import TreeArrays

F32 = npt.NDArray[np.float32]
TOLERANCE = 1e-5
"""Largest allowed difference between ONNX and the library, in probability."""
CHECKED_ROWS = 4096


@dataclass(frozen=True)
class Fitted:
    """graph: the ONNX file's bytes. predict: the library's own probabilities, f32[n, …] → f64[n]. parameters: for
    training.json."""

    graph: bytes
    predict: Callable[[F32], npt.NDArray[np.float64]]
    parameters: dict[str, Any]
    trees: TreeArrays | None = None


def run_graph(graph: bytes, x: F32, batch: int = 4096) -> F32:
    """Scores f32[n] by ONNX Runtime on one thread, as the server computes them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    parts = [session.run(["score"], {"x": np.ascontiguousarray(x[i : i + batch], dtype=np.float32)})[0] for i in range(0, len(x), batch)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def checked_difference(family: str, fitted: Fitted, x: F32, seed: int) -> float:
    """Largest difference between graph and library over real rows, and over the same rows with a tenth of their values
    taken out. Raises RunFailed where it exceeds TOLERANCE."""
    random = np.random.default_rng(seed)
    rows = x[np.sort(random.choice(len(x), min(CHECKED_ROWS, len(x)), replace=False))]
    holed = np.where(random.random(rows.shape) < 0.1, np.float32(np.nan), rows)
    if len(rows):
        holed[0] = np.nan
    largest = 0.0
    for sample in (rows, holed):
        difference = np.abs(run_graph(fitted.graph, sample).astype(np.float64) - fitted.predict(sample))
        largest = max(largest, float(difference.max(initial=0.0))) if not np.isnan(difference).any() else float("inf")
    if largest > TOLERANCE:
        raise RunFailed(f"{family}: ONNX and the library differ by {largest:.2g} in probability, more than {TOLERANCE:g}. Leave the family out.")
    return largest
