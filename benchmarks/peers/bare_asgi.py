"""Peer: the least an ASGI program can do around the same ONNX file: parse, check, model. Arguments: ONNX PORT."""

import math
import sys
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn


def app_of(path: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    width = session.get_inputs()[0].shape[1]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        document = orjson.loads(body)
        tensor = document["inputs"][0]
        x = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        if tensor["datatype"] != "FP32" or x.shape[1] != width or not math.isfinite(np.vdot(x, x)):
            raise ValueError("refused")
        scores = session.run(["score"], {"x": x})[0]
        answer = orjson.dumps({"model_name": "incident", "outputs": [{"name": "score", "shape": scores.shape, "datatype": "FP32", "data": scores.tolist()}]})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


if __name__ == "__main__":
    path, port = sys.argv[1:]
    uvicorn.run(app_of(path), host="127.0.0.1", port=int(port), http="httptools", loop="uvloop", lifespan="off", access_log=False, log_level="error")
