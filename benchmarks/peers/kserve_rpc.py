"""Peer: the same KServe ModelServer with its gRPC door, and without a log line a call. Arguments: ONNX HTTP_PORT GRPC_PORT."""

import logging
import sys
from pathlib import Path

from kserve import ModelServer

sys.path.insert(0, str(Path(__file__).parent))

from kserve_model import OnnxModel

if __name__ == "__main__":
    path, port, grpc_port = sys.argv[1:]
    server = ModelServer(http_port=int(port), grpc_port=int(grpc_port), enable_grpc=True, workers=1, access_log_format=None)
    for name in ("kserve", "kserve.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([OnnxModel("incident", path)])
