"""One model of a release, ready to score: an ONNX graph run in this process from the bytes that were verified."""

from collections.abc import Callable
from typing import Any

from inference.path.request import F32


class ModelFailed(Exception):
    """The model gave no usable score; the next rung of the ladder answers instead."""


def load_model(content: bytes) -> Callable[[F32], list[float]]:
    """x f32[n, …] → a score a row, from `model.onnx`.

    One thread, operators in order: a row takes 10–15 µs, and handing it to another thread would take longer.
    Raises ModelFailed where the runtime refuses the row or a score is no probability.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.use_env_allocators", "0")
    session: Any = onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    outputs = ["score"]

    def score(x: F32) -> list[float]:
        try:
            scores: list[float] = session.run(outputs, {"x": x})[0].tolist()
        except Exception as error:  # the runtime's errors have no common base; whatever it is, this rung is out
            raise ModelFailed(type(error).__name__) from error
        if len(scores) != len(x) or not all(0.0 <= value <= 1.0 for value in scores):
            raise ModelFailed("a score is no probability")
        return scores

    return score
