"""ADDRESS SECRET MODEL CONFIG: prints [CONFIG as its message, the model's configuration in the Triton at ADDRESS] as JSON. A program of its
own: tritonclient's gRPC and KServe's package exclude each other."""

import json
import sys
from pathlib import Path

import tritonclient.grpc as client
from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import model_config_pb2

address, secret, model, written = sys.argv[1:]
said = text_format.Parse(Path(written).read_text(), model_config_pb2.ModelConfig())
has = client.InferenceServerClient(address).get_model_config(model, headers={"triton-grpc-protocol-presage-closed": secret}, client_timeout=10).config
print(json.dumps([MessageToDict(said), MessageToDict(has)]))
