"""Triton as the GPU family's model server, and what stands for it on a machine that has its python backend alone.

    bundled      the server that a Python package brings along: where it lies, what it needs
    repository   the release's Triton repository with the twin laid over it
    twin         `model.py` of the twin: ONNX Runtime behind Triton's python backend
    __main__     `python -m inference.triton …`: Triton's own command line, on such a machine
    metrics      Triton's nv_* series, shown on the path's /metrics
"""

from pathlib import Path


def twin_file() -> Path:
    """The twin's source: only Triton's stub can import it."""
    return Path(__file__).with_name("twin.py")
