"""One model of a release, ready to score: an ONNX graph run in this process from the bytes that were verified."""

from collections.abc import Callable
from typing import Any, Literal

from inference.path.request import F32

Cause = Literal["failed", "out of memory", "slow", "unreachable", "not loaded"]


_MEMORY = ("out of memory", "failed to allocate", "bad_alloc", "bad allocation", "cuda_error_out_of_memory")


class ModelFailed(Exception):
    """The model gave no usable score; the next rung of the ladder answers instead. detail: for the log, never for a caller."""

    def __init__(self, cause: Cause, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause: Cause = cause


def load_model(content: bytes) -> Callable[[F32], list[float]]:
    """x f32[n, …] → a score a row, from `model.onnx`. A score that is no probability is the caller's to find.

    One thread, operators in order: a row takes 10–15 µs, and handing it to another thread would take longer.
    Raises ModelFailed: here where the runtime cannot load the graph, in the function where it does not give a score a row.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.use_env_allocators", "0")
    try:
        session: Any = onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors have no common base
        raise ModelFailed("out of memory" if is_memory(error) else "not loaded", type(error).__name__) from error
    outputs = ["score"]

    def score(x: F32) -> list[float]:
        try:
            scores: list[float] = session.run(outputs, {"x": x})[0].tolist()
        except Exception as error:  # whatever it is, this rung is out
            raise ModelFailed("out of memory" if is_memory(error) else "failed", type(error).__name__) from error
        if len(scores) != len(x):
            raise ModelFailed("failed", f"{len(scores)} scores for {len(x)} rows")
        return scores

    return score


def is_memory(error: BaseException) -> bool:
    """Whether a runtime's error says that memory ran out, on the host or on a GPU."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _MEMORY)
