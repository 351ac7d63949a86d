"""Each Pod has an address of its own, the same at each start."""

from pathlib import Path

from presage.local.addresses import pod_address
from presage.local.quantities import parse_bytes


def test_an_address_is_the_same_each_time_and_differs_between_states_and_pods():
    assert pod_address(Path("/a"), "web-0") == pod_address(Path("/a"), "web-0")
    assert len({pod_address(Path("/a"), "web-0"), pod_address(Path("/b"), "web-0"), pod_address(Path("/a"), "web-1")}) == 3


def test_an_address_is_loopback_and_never_the_usual_one():
    for number in range(500):
        first, second, _, last = (int(part) for part in pod_address(Path("/a"), f"web-{number}").split("."))
        assert first == 127
        assert 64 <= second < 128
        assert 1 <= last <= 254


def test_an_address_of_another_pod_is_stepped_over():
    taken = pod_address(Path("/a"), "web-0")
    assert pod_address(Path("/a"), "web-0", [taken]) != taken


def test_memory_is_read_as_kubernetes_writes_it():
    assert [parse_bytes("here", text) for text in ("512Mi", "1Gi", "1.5G", "64")] == [512 << 20, 1 << 30, 1_500_000_000, 64]
