"""Peer: KServe's own ModelServer around the same ONNX file, as its documentation builds a custom model. Arguments: ONNX PORT."""

import sys

import onnxruntime
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid


class OnnxModel(Model):
    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None) -> InferResponse:
        scores = self.session.run(["score"], {"x": payload.inputs[0].as_numpy()})[0]
        output = InferOutput("score", list(scores.shape), "FP32", data=scores.tolist())
        return InferResponse(response_id=payload.id or generate_uuid(), model_name=self.name, infer_outputs=[output])


if __name__ == "__main__":
    path, port = sys.argv[1:]
    ModelServer(http_port=int(port), enable_grpc=False, workers=1, access_log_format=None).start([OnnxModel("incident", path)])
