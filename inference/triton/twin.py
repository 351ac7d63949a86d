"""The twin of Triton's ONNX Runtime backend: `model.onnx` beside this file, run by ONNX Runtime from Triton's python backend.

It is laid over a release's Triton repository as `1/model.py` (inference.triton.repository) and is never a part of a release. All that
Triton batched together is one run, as in the backend it stands for. The stub that loads it runs isolated: it sees the base interpreter's
packages only, so PRESAGE_SITE says where ours are. And it was built against numpy 1: with numpy 2 its `as_numpy` and `Tensor(name, array)`
take every item for zero bytes wide, without an error. Tensors go in and out as DLPack, which has a layout of its own.
"""

import os
import sys

sys.path.insert(1, os.environ["PRESAGE_SITE"])

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton  # type: ignore[import-not-found] # of the stub, not of the environment

_FREE, _TAKEN = b"dltensor", b"used_dltensor"  # names of a DLPack capsule, kept here: a capsule only points at its name
_THREADS = "intra_op_thread_count"  # the ONNX Runtime backend's own parameter


class TritonPythonModel:
    """What the stub looks for."""

    def initialize(self, args: dict[str, str]) -> None:
        """args: model_repository (this model's folder), model_version, model_config (JSON)."""
        parameters = json.loads(args["model_config"]).get("parameters", {})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(parameters.get(_THREADS, {}).get("string_value", "1"))
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        content = (Path(args["model_repository"]) / args["model_version"] / "model.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """One run for all; where it fails, all of them fail."""
        rows = [np.from_dlpack(triton.get_input_tensor_by_name(request, "x")) for request in requests]
        try:
            scores = self._session.run(["score"], {"x": rows[0] if len(rows) == 1 else np.concatenate(rows)})[0]
        except Exception as error:  # the runtime's errors have no common base
            failure = triton.TritonError(f"onnx runtime error: {error}")
            return [triton.InferenceResponse(output_tensors=[], error=failure) for _ in requests]
        answers, start = [], 0
        for x in rows:
            part = scores[start : start + len(x)].copy()
            answers.append(triton.InferenceResponse(output_tensors=[_tensor("score", part)]))
            start += len(x)
        return answers


def _tensor(name: str, array: Any) -> Any:
    """The stub marks a capsule that it has taken over by a name which numpy does not know, so that numpy complains as it lets the capsule
    go: it gets the name it knows."""
    capsule = array.__dlpack__()
    made = triton.Tensor.from_dlpack(name, capsule)
    if not ctypes.pythonapi.PyCapsule_IsValid(ctypes.py_object(capsule), _FREE):
        ctypes.pythonapi.PyCapsule_SetName(ctypes.py_object(capsule), _TAKEN)
    return made
