"""Triton's description of a package's model, written from its contract: one description for both server families.

    triton_config(model, contract)     `config.pbtxt`, a file of the package: it is in the release's digest
    twin_config(config)                the same for a Triton without an ONNX Runtime backend, beside the release and never in it

The twin differs in the one line that names the backend. So batching, warm-up, instances and both tensors are the release's own everywhere.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from presage.errors import ArtifactRefused
from presage.package.contract import Contract

if TYPE_CHECKING:
    from presage.package.release import Member

MAX_BATCH = 64
BACKEND, TWIN_BACKEND = 'backend: "onnxruntime"', 'backend: "python"'


def triton_config(model: str, contract: Contract) -> str:
    """`config.pbtxt`: input x FP32 [batch, …], output score FP32 [batch], batched by Triton as requests arrive.

    No queue delay: waiting for a fuller batch never paid on this model (it computes in microseconds). No queue policy either: with one,
    Triton stalls for half a second under concurrency; the request path bounds what it sends. One instance a GPU, or one on the CPU where
    there is none (KIND_AUTO). The warm-up of a full batch takes the memory that a full batch needs while the model loads, and not later.
    """
    dimensions = [contract.history, len(contract.inputs)] if contract.kind == "sequence" else [len(contract.inputs)]
    return f'''name: "{model}"
{BACKEND}
max_batch_size: {MAX_BATCH}
input [{{ name: "x" data_type: TYPE_FP32 dims: {dimensions} }}]
output [{{ name: "score" data_type: TYPE_FP32 dims: [1] reshape {{ shape: [] }} }}]
version_policy {{ latest {{ num_versions: 1 }} }}
dynamic_batching {{ }}
instance_group [{{ kind: KIND_AUTO count: 1 }}]
model_warmup [
  {{ name: "one row" batch_size: 1 count: 8 inputs {{ key: "x" value {{ data_type: TYPE_FP32 dims: {dimensions} zero_data: true }} }} }},
  {{ name: "full batch" batch_size: {MAX_BATCH} count: 2 inputs {{ key: "x" value {{ data_type: TYPE_FP32 dims: {dimensions} zero_data: true }} }} }}
]
parameters [{{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}]
'''


def twin_config(config: str, where: str) -> str:
    """The same description for the python backend. where: its place, for the sentence. Raises ArtifactRefused where it is not one of ours."""
    lines = config.splitlines(keepends=True)
    at = [index for index, line in enumerate(lines) if line.strip() == BACKEND]
    if len(at) != 1 or sum("backend" in line or "platform" in line for line in lines) != 1:
        raise ArtifactRefused("format", f"{where} does not say {BACKEND} once, so there is no twin of it. Package the model again.")
    lines[at[0]] = lines[at[0]].replace(BACKEND, TWIN_BACKEND)
    return "".join(lines)


def served_by_triton(members: "Iterable[Member]") -> "list[Member]":
    """Those that Triton runs: whoever answers the first rung. The rungs below stay in the path's own process, so that Triton's end is
    not theirs, too."""
    return [member for member in members if member.role in ("primary", "ensemble")]
