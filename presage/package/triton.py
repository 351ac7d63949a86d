"""Triton's description of a package's model, written from its contract: one description for both server families."""

from presage.package.contract import Contract

MAX_BATCH = 64


def triton_config(model: str, contract: Contract) -> str:
    """`config.pbtxt`: input x FP32 [batch, …], output score FP32 [batch], batched by Triton as requests arrive.

    No queue delay: waiting for a fuller batch never paid on this model (it computes in microseconds).
    """
    dimensions = [contract.history, len(contract.inputs)] if contract.kind == "sequence" else [len(contract.inputs)]
    return f'''name: "{model}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH}
input [{{ name: "x" data_type: TYPE_FP32 dims: {dimensions} }}]
output [{{ name: "score" data_type: TYPE_FP32 dims: [1] reshape {{ shape: [] }} }}]
version_policy {{ latest {{ num_versions: 1 }} }}
dynamic_batching {{ }}
parameters [{{ key: "intra_op_thread_count" value: {{ string_value: "1" }} }}]
'''
