"""Triton's series on the path's /metrics: real ones as they are, everything else not at all, and a scrape that never waits."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from builders.ladders import Clock
from prometheus_client.parser import text_string_to_metric_families

from inference.metrics.catalogue import ServingMetrics
from inference.triton.metrics import LASTS, MOST_LINES, TritonMetrics, filtered


@asynccontextmanager
async def answering(answer):
    """A server that says these bytes to whoever connects; None: it says nothing, ever."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def http(body, status=b"200 OK"):
    return b"HTTP/1.0 " + status + b"\r\nContent-Type: text/plain\r\n\r\n" + body


def fetched(answer, before=None):
    async def fetch():
        async with answering(answer) as address:
            metrics = TritonMetrics(address, Clock())
            if before is not None:
                metrics._text, metrics._at = before, 100.0
            await metrics.refresh()
            return metrics.exposition()

    return asyncio.run(fetch())


def test_what_a_real_triton_counts_is_shown_beside_our_own(triton, model):
    async def ask():
        asked = model(triton, "convolution")
        await triton.answering(asked)
        metrics = TritonMetrics(triton.metrics, Clock(), every=0.01)
        following = asyncio.create_task(metrics.follow())
        while not metrics.exposition():
            await asyncio.sleep(0.01)
        following.cancel()
        return metrics.exposition

    served = ServingMetrics("incident", "1", "view", {"version": "0"}, lambda: 0)
    served.beside = asyncio.run(ask())
    families = {family.name: family for family in text_string_to_metric_families(served.exposition().decode())}
    assert {"nv_inference_request_success", "nv_inference_queue_duration_us", "nv_inference_pending_request_count", "presage_queue_depth"} <= families.keys()
    assert {sample.labels["model"] for sample in families["nv_inference_request_success"].samples} == {"convolution", "moody"}


def test_it_cannot_say_anything_in_our_name():
    text = (
        b'presage_requests_total{model="incident"} 5\n# TYPE presage_requests_total gauge\nnv_gpu_utilization{gpu_uuid="GPU-1"} 0.5\n'
        b'nv_x{a="\\"} 1\nup 1\n'
    )
    assert filtered(text) == b'nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5\n'


@pytest.mark.parametrize("line", [
    b'nv_inference_request_success{model="a",version="1"} 136', b"nv_pinned_memory_pool_total_bytes 0", b"nv_x 1e-07", b"nv_x NaN", b"nv_x +Inf",
    b'nv_energy_consumption{gpu_uuid="GPU-d3f8"} 12.5', b"# HELP nv_x Anything at all, even \"this\"", b"# TYPE nv_x counter", b'nv_x{a="say \\"no\\""} 2',
])  # fmt: skip
def test_every_form_of_a_sample_passes(line):
    assert filtered(line + b"\n") == line + b"\n"


def test_more_lines_than_anybody_scrapes_are_cut():
    assert filtered(b"nv_x 1\n" * (MOST_LINES + 10)).count(b"\n") == MOST_LINES


@pytest.mark.parametrize("answer", [
    b"", b"nonsense\r\n\r\n", http(b"nv_x 1\n", b"500 No"), b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n", http(b"nv_x 1\n" * 200_000),
    b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nnv_x 1\n", b"HTTP/1.0 200 OK\r\nContent-Length: none\r\n\r\n", b"x" * 200_000,
])  # fmt: skip
def test_an_answer_that_is_none_leaves_what_was_known(answer):
    assert fetched(answer, before=b"nv_x 7\n") == b"nv_x 7\n"


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr("inference.triton.metrics.PATIENCE", 0.05)
    assert fetched(None) == b""


def test_what_was_known_is_not_shown_for_ever():
    clock = Clock()

    async def fetch():
        async with answering(http(b"nv_x 1\n")) as address:
            metrics = TritonMetrics(address, clock)
            await metrics.refresh()
        return metrics

    metrics = asyncio.run(fetch())
    clock.now += LASTS
    assert metrics.exposition() == b"nv_x 1\n"
    clock.now += 0.1
    asyncio.run(metrics.refresh())
    assert metrics.exposition() == b""
