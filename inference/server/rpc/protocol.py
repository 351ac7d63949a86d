"""The Open Inference Protocol's messages for gRPC, and the standard health check's, from our own description of them.

Both `kserve` and `tritonclient` register these names in protobuf's default pool, which is why they cannot be in one process. Ours are in a
pool of their own, so this module goes with either. A field's number and type are the protocol: tests hold them equal to both packages'.

    asked = MESSAGES["ModelInferRequest"].FromString(content)
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

SERVICE, HEALTH = "inference.GRPCInferenceService", "grpc.health.v1.Health"

# Written as proto3 writes it; a message within another has a dot in its name. RepositoryModelLoad and -Unload are missing on purpose: they are
# refused unread, and the two packages do not agree on them.
INFERENCE: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("bool live = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("bool ready = 1",),
    "ModelReadyRequest": ("string name = 1", "string version = 2"),
    "ModelReadyResponse": ("bool ready = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": ("string name = 1", "string version = 2", "repeated string extensions = 3"),
    "ModelMetadataRequest": ("string name = 1", "string version = 2"),
    "ModelMetadataResponse": (
        "string name = 1", "repeated string versions = 2", "string platform = 3",
        "repeated ModelMetadataResponse.TensorMetadata inputs = 4", "repeated ModelMetadataResponse.TensorMetadata outputs = 5",
    ),
    "ModelMetadataResponse.TensorMetadata": ("string name = 1", "string datatype = 2", "repeated int64 shape = 3"),
    "InferParameter": (
        "oneof bool bool_param = 1", "oneof int64 int64_param = 2", "oneof string string_param = 3",
        "oneof double double_param = 4", "oneof uint64 uint64_param = 5",
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1", "repeated int32 int_contents = 2", "repeated int64 int64_contents = 3", "repeated uint32 uint_contents = 4",
        "repeated uint64 uint64_contents = 5", "repeated float fp32_contents = 6", "repeated double fp64_contents = 7", "repeated bytes bytes_contents = 8",
    ),
    "ModelInferRequest": (
        "string model_name = 1", "string model_version = 2", "string id = 3", "map InferParameter parameters = 4",
        "repeated ModelInferRequest.InferInputTensor inputs = 5", "repeated ModelInferRequest.InferRequestedOutputTensor outputs = 6",
        "repeated bytes raw_input_contents = 7",
    ),
    "ModelInferRequest.InferInputTensor": (
        "string name = 1", "string datatype = 2", "repeated int64 shape = 3", "map InferParameter parameters = 4", "InferTensorContents contents = 5",
    ),
    "ModelInferRequest.InferRequestedOutputTensor": ("string name = 1", "map InferParameter parameters = 2"),
    "ModelInferResponse": (
        "string model_name = 1", "string model_version = 2", "string id = 3", "map InferParameter parameters = 4",
        "repeated ModelInferResponse.InferOutputTensor outputs = 5", "repeated bytes raw_output_contents = 6",
    ),
    "ModelInferResponse.InferOutputTensor": (
        "string name = 1", "string datatype = 2", "repeated int64 shape = 3", "map InferParameter parameters = 4", "InferTensorContents contents = 5",
    ),
}  # fmt: skip
# `status` is an enum in the original: 1 SERVING, 2 NOT_SERVING. An enum and an int32 are the same bytes.
HEALTH_CHECK: dict[str, tuple[str, ...]] = {"HealthCheckRequest": ("string service = 1",), "HealthCheckResponse": ("int32 status = 1",)}
SERVING, NOT_SERVING = 1, 2
CHOICE = "parameter_choice"  # the name of the only oneof

_SCALARS = {
    "double": FieldDescriptorProto.TYPE_DOUBLE, "float": FieldDescriptorProto.TYPE_FLOAT, "int64": FieldDescriptorProto.TYPE_INT64,
    "uint64": FieldDescriptorProto.TYPE_UINT64, "int32": FieldDescriptorProto.TYPE_INT32, "uint32": FieldDescriptorProto.TYPE_UINT32,
    "bool": FieldDescriptorProto.TYPE_BOOL, "string": FieldDescriptorProto.TYPE_STRING, "bytes": FieldDescriptorProto.TYPE_BYTES,
}  # fmt: skip


def described(package: str, messages: dict[str, tuple[str, ...]]) -> Any:
    """The FileDescriptorProto of these messages."""
    file = FileDescriptorProto(name=f"presage/{package}.proto", package=package, syntax="proto3")
    made: dict[str, Any] = {}
    for name, lines in messages.items():
        outer, _, own = name.rpartition(".")
        made[name] = message = made[outer].nested_type.add(name=own) if outer else file.message_type.add(name=own)
        for line in lines:
            _add_field(message, f".{package}.{name}", package, line)
    return file


def _add_field(message: Any, full_name: str, package: str, line: str) -> None:
    """`[repeated | oneof | map] TYPE NAME = NUMBER`; a map's keys are strings."""
    *label, type_name, name, _, number = line.split()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if label == ["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=CHOICE)
        field.oneof_index = 0
    elif label:
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if label == ["map"]:
        entry = DescriptorProto(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add_field(entry, full_name, package, "string key = 1")
        _add_field(entry, full_name, package, f"{type_name} value = 2")
        message.nested_type.append(entry)
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f"{full_name}.{entry.name}"
    elif (scalar := _SCALARS.get(type_name)) is not None:
        field.type = scalar
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{package}.{type_name}"


def _classes() -> dict[str, Any]:
    pool, found = DescriptorPool(), dict[str, Any]()
    for package, messages in (("inference", INFERENCE), ("grpc.health.v1", HEALTH_CHECK)):
        pool.AddSerializedFile(described(package, messages).SerializeToString())
        found |= {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages if "." not in name}
    return found


MESSAGES: dict[str, Any] = _classes()
"""Name → message class."""
