"""The metrics' own port: GET /metrics for whoever asks, and nothing else for anybody."""

import socket
import threading

import httpx2
import pytest
from builders.ports import free_port

from benchmarks.serving_process import ServerProcess
from benchmarks.serving_release import NEWCOMER


@pytest.fixture(scope="module")
def scraped(serving_site, tmp_path_factory):
    """A server, and the address of its metrics."""
    port = free_port()
    with ServerProcess(serving_site, tmp_path_factory.mktemp("scraped"), f"--metrics_port={port}", "--ship_seconds=3600") as server:
        yield server, f"http://127.0.0.1:{port}"


def test_it_shows_what_the_program_s_own_port_shows(scraped):
    server, address = scraped
    assert httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    with httpx2.Client() as client:
        here, there = client.get(address + "/metrics"), client.get(server.address + "/metrics")
        assert client.get(address + "/metrics?name=x").status_code == 200
    assert here.status_code == 200 and here.headers["content-type"] == there.headers["content-type"]
    assert "presage_journal_records_total 1.0" in here.text
    changing = ("presage_requests_total", "presage_inflight_requests")
    one, other = ([line for line in answer.text.splitlines() if not line.startswith(changing)] for answer in (here, there))
    assert one == other


def test_nothing_else_is_there(scraped):
    _, address = scraped
    for path in ("/", "/predict", "/v2", "/v2/health/live", "/metrics/", "//metrics", "/openapi.json", "/metrics%2F"):
        assert httpx2.get(address + path).status_code == 404, path
    for method in ("POST", "PUT", "HEAD", "OPTIONS", "DELETE"):
        assert httpx2.request(method, address + "/metrics").status_code == 405, method
    assert httpx2.post(address + "/predict", json={"servers": [NEWCOMER]}).status_code == 404


def raw(address, *parts):
    """Everything that comes back on one connection until it is closed."""
    with socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


@pytest.mark.long
def test_bodies_long_heads_and_half_requests_are_not_waited_for(scraped):
    _, address = scraped
    assert raw(address, b"GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert raw(address, b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 9000).startswith(b"HTTP/1.1 431")
    assert raw(address, b"GET /metr").startswith(b"HTTP/1.1 408")
    assert raw(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").startswith(b"HTTP/1.1 400")  # TLS


def test_whoever_takes_all_its_connections_does_not_touch_the_program_s_own_port(scraped):
    server, address = scraped
    port = int(address.rsplit(":", 1)[1])
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        assert httpx2.get(address + "/metrics").status_code == 503
        assert httpx2.post(server.address + "/predict", json={"servers": [NEWCOMER]}).status_code == 200
    finally:
        for connection in held:
            connection.close()
    while httpx2.get(address + "/metrics").status_code == 503:
        pass


def test_without_the_flag_and_with_0_there_is_no_second_port(server, serving_site, tmp_path):
    assert not any('"metrics":' in line for line in server.log)
    with ServerProcess(serving_site, tmp_path, "--metrics_port=0") as none:
        assert not any('"metrics":' in line for line in none.log)


def test_the_ready_line_names_it_and_it_is_scraped_until_the_journal_is_shipped(serving_site, tmp_path):
    port = free_port()
    with ServerProcess(serving_site, tmp_path, f"--metrics_port={port}", "--ship_seconds=3600") as server:
        assert any(f'"metrics": "http://127.0.0.1:{port}/metrics"' in line for line in server.log)
        seen, gone = [], threading.Event()

        def scrape():
            with httpx2.Client() as client:
                while True:
                    try:
                        seen.append(client.get(f"http://127.0.0.1:{port}/metrics").status_code)
                    except httpx2.TransportError:
                        return gone.set()

        thread = threading.Thread(target=scrape)
        thread.start()
        assert server.stop() == 0
        assert gone.wait(10)
        thread.join()
    assert set(seen) == {200}


def test_a_taken_metrics_port_is_one_sentence_and_exit_code_one(scraped, serving_site, tmp_path):
    _, address = scraped
    port = address.rsplit(":", 1)[1]
    second = ServerProcess(serving_site, tmp_path, f"--metrics_port={port}")
    assert second.wait() == 1
    assert second.log == [f"127.0.0.1:{port} is taken by another program. Stop that program, or choose another --metrics_port."]


@pytest.mark.parametrize("flag", ["--metrics_port=70000", "--http_port=-1", "--metrics_port=metrics"])
def test_what_is_no_port_is_said(serving_site, tmp_path, flag):
    server = ServerProcess(serving_site, tmp_path, flag)
    assert server.wait() == 2
    assert "is no port. Give a number from 0 to 65535." in server.log[-1]
