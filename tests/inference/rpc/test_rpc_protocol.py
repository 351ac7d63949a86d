"""Our description of the protocol is the one that `kserve` and `tritonclient` carry. Each is read in a process of its own: they exclude each other."""

import json
import subprocess
import sys

import pytest

from inference.server.rpc.protocol import MESSAGES, SERVING

READ = """
import importlib, json, sys
file = importlib.import_module(sys.argv[1]).DESCRIPTOR
def fields(message, found):
    found[message.full_name] = {
        field.name: [field.number, field.type, field.is_repeated, field.message_type and field.message_type.full_name,
                     field.containing_oneof and field.containing_oneof.name] for field in message.fields
    }
    for inner in message.nested_types:
        fields(inner, found)
    return found
messages = {}
for message in file.message_types_by_name.values():
    fields(message, messages)
[service] = file.services_by_name.values()
methods = {method.name: [method.input_type.name, method.output_type.name, method.client_streaming, method.server_streaming] for method in service.methods}
print(json.dumps({"messages": messages, "service": service.full_name, "methods": methods}))
"""
PACKAGES = {"kserve": "kserve.protocol.grpc.grpc_predict_v2_pb2", "tritonclient": "tritonclient.grpc.service_pb2"}


@pytest.fixture(scope="module")
def theirs():
    found = {}
    for package, module in PACKAGES.items():
        done = subprocess.run([sys.executable, "-c", READ, module], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found[package] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def ours():
    """The same facts of our messages."""
    found = {}

    def name_of(message):
        return message and message.full_name

    def fields(message):
        found[message.full_name] = {
            field.name: [field.number, field.type, field.is_repeated, name_of(field.message_type), field.containing_oneof and field.containing_oneof.name]
            for field in message.fields
        }
        for inner in message.nested_types:
            fields(inner)

    for message in MESSAGES.values():
        fields(message.DESCRIPTOR)
    return {name: described for name, described in found.items() if name.startswith("inference.")}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_field_that_the_package_sends_is_known_with_its_number_and_type(package, theirs, ours):
    shared = ours.keys() & theirs[package]["messages"].keys()
    assert shared == ours.keys()
    for name in shared:
        for field, facts in theirs[package]["messages"][name].items():
            assert ours[name].get(field) == facts, f"{name}.{field}"


def test_there_is_no_field_that_neither_package_has(theirs, ours):
    for name, fields in ours.items():
        for field, facts in fields.items():
            assert facts in [theirs[package]["messages"][name].get(field) for package in PACKAGES], f"{name}.{field}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_method_of_kserve_is_served_and_has_the_messages_it_is_answered_with(package, theirs, channel):
    from builders.rpc_calls import Refused, call

    methods = theirs[package]["methods"]
    assert theirs[package]["service"] == "inference.GRPCInferenceService"
    for method in theirs["kserve"]["methods"]:
        assert methods[method] == [f"{method}Request", f"{method}Response", False, False]
        try:
            call(channel, method, b"")
        except Refused as refused:  # an empty message names no model, and nothing is loaded or unloaded
            assert refused.code.name == ("UNIMPLEMENTED" if method.startswith("Repository") else "NOT_FOUND") and refused.message != "Method not found!"


def test_the_health_check_is_the_standard_ones_bytes():
    assert MESSAGES["HealthCheckResponse"](status=SERVING).SerializeToString() == b"\x08\x01"
    assert MESSAGES["HealthCheckRequest"](service="a").SerializeToString() == b"\x0a\x01a"


@pytest.mark.long
def test_the_server_can_have_either_package_beside_it():
    """The GPU family's path calls Triton with tritonclient; kserve's types are KServe's to bring."""
    for module in PACKAGES.values():
        program = f"import {module}; import inference.server.rpc.door"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
