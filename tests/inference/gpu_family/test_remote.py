"""A member that Triton runs: its scores, and what it says of each way in which Triton can fail. All against a real one."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from builders.ladders import Site
from builders.releases import world
from builders.triton import TritonProcess, convolution, moody, repository, sequence_parts

from inference.path.breaker import BreakerSettings
from inference.path.model import ModelFailed
from inference.path.remote import TritonModel, TritonServer, remote_members
from presage.package.release import verify_folder


def asking(turns=0, numbers=0, rows=1):
    """Rows for the moody model: turns of work, numbers of memory."""
    x = np.zeros((rows, 48, 3), np.float32)
    x[0, 0, 0], x[0, 0, 1] = turns, numbers
    return x


async def cause_of(score):
    try:
        await score
    except ModelFailed as failure:
        return failure.cause
    return None


def test_more_rows_than_a_batch_come_back_in_their_order(triton, model):
    x = np.random.default_rng(2).random((300, 48, 3)).astype(np.float32)

    async def ask():
        asked = model(triton, "convolution")
        await triton.answering(asked)
        whole = await asked.score(x, 10.0)
        return whole, [await asked.score(part, 10.0) for part in np.split(x, 300)]

    whole, single = asyncio.run(ask())
    assert whole == pytest.approx([score for [score] in single], abs=1e-6)
    assert len(set(whole)) > 250


def test_a_model_that_triton_does_not_have_is_not_loaded(triton, model):
    async def ask():
        await triton.answering(model(triton, "convolution"))
        return await cause_of(model(triton, "gone").score(asking(), 5.0)), await model(triton, "gone").missing()

    cause, missing = asyncio.run(ask())
    assert (cause, missing) == ("not loaded", "not ready")


def test_a_model_of_another_shape_is_missing(triton):
    async def ask():
        server = TritonServer(triton.grpc)
        await triton.answering(TritonModel(server, "convolution", (48, 3)))
        return await TritonModel(server, "convolution", (48, 4)).missing()

    assert "its contract says x FP32 [-1, 48, 4]" in asyncio.run(ask())


def test_rows_of_another_shape_fail(triton, model):
    async def ask():
        await triton.answering(model(triton, "convolution"))
        return await cause_of(model(triton, "convolution").score(np.zeros((1, 48, 2), np.float32), 5.0))

    assert asyncio.run(ask()) == "failed"


def test_memory_that_runs_out_is_told_apart(triton, model):
    async def ask():
        asked = model(triton, "moody")
        await triton.answering(asked)
        return await cause_of(asked.score(asking(numbers=1e13), 5.0)), await cause_of(asked.score(asking(), 5.0))

    assert asyncio.run(ask()) == ("out of memory", None)


def test_a_slow_model_is_given_up_when_the_callers_time_is_over(triton, model):
    async def ask():
        asked = model(triton, "moody")
        await triton.answering(asked)
        before = perf_counter()
        cause = await cause_of(asked.score(asking(turns=400), 0.1))
        return cause, perf_counter() - before

    cause, seconds = asyncio.run(ask())
    assert cause == "slow" and seconds < 1.0


def test_a_triton_that_hangs_is_left_alone_after_a_few_calls(own, model):
    """It computes whatever it has taken, wanted or not: so no more is sent than the breaker allows."""
    site = Site("primary", settings=BreakerSettings(failures=5, slow_after=0.05))
    member = site.members["primary"]

    async def ask():
        member.remote = asked = model(own, "convolution")
        await own.answering(asked)
        [before] = await _metric(own, 'nv_inference_request_success{model="convolution"')
        own.hang()
        outcomes = [member.away() or await cause_of(member.ask(asking(), float("inf"))) for _ in range(40)]
        own.process.send_signal(signal.SIGCONT)
        await asked.score(asking(), 30.0)
        [after] = await _metric(own, 'nv_inference_request_success{model="convolution"')
        return outcomes, int(after.split()[-1]) - int(before.split()[-1])

    outcomes, computed = asyncio.run(ask())
    assert outcomes == ["slow"] * 5 + ["primary: left alone (slow)"] * 35
    assert computed <= 6


def test_no_more_calls_than_allowed_are_with_triton_at_a_time(own, model):
    async def ask():
        asked = model(own, "moody", in_flight=2)
        await own.answering(asked)
        own.hang()
        waiting = [asyncio.create_task(asked.score(asking(), 0.3)) for _ in range(5)]
        await asyncio.wait(waiting)
        return sorted(str(task.exception()) for task in waiting)

    told = asyncio.run(ask())
    assert [text.startswith("slow: no turn") for text in told] == [False, False, True, True, True]
    assert all(text.startswith("slow") for text in told)


def test_a_triton_that_hangs_is_slow_and_one_that_is_gone_is_unreachable_and_one_that_is_back_answers(own, model):
    async def ask():
        asked = model(own, "convolution")
        await own.answering(asked)
        own.hang()
        hanging = await cause_of(asked.score(asking(), 0.2))
        own.kill()
        gone = await cause_of(asked.score(asking(), 2.0))
        own.start()
        await own.answering(asked)
        return hanging, gone, await cause_of(asked.score(asking(), 5.0))

    assert asyncio.run(ask()) == ("slow", "unreachable", None)


def test_no_time_left_is_slow_without_a_call(model, tmp_path):
    nobody = TritonProcess(tmp_path, tmp_path)
    assert asyncio.run(cause_of(model(nobody, "convolution").score(asking(), 0.0))) == "slow"


def test_a_killed_triton_leaves_nothing_behind_once_it_is_started_again(own, model):
    async def restart():
        await own.answering(model(own, "convolution"))
        mine = next(word.partition("=")[2].partition("=")[2] for word in _arguments(own) if "shm-region-prefix-name" in word)
        before = {path.name for path in Path("/dev/shm").glob(f"{mine}*")}
        own.kill()
        own.start()
        await own.answering(model(own, "convolution"))
        return before, {path.name for path in Path("/dev/shm").glob(f"{mine}*")}

    before, after = asyncio.run(restart())
    assert len(before) == len(after) and not before & after


def test_the_first_rung_alone_is_triton_s(tmp_path):
    made = world(tmp_path)
    made = replace(made, published=made.publish({"primary": sequence_parts(), "last_good": sequence_parts("incident-sequence-before", 9)}))
    pod = made.pod("gpu", triton=True)
    assert sorted(path.name for path in (pod / "triton").iterdir()) == ["incident-sequence"]
    members = remote_members(verify_folder(pod, made.trust), TritonServer("127.0.0.1:1"))
    assert {id: one.name for id, one in members.items()} == {"primary": "incident-sequence"}


@pytest.mark.long
def test_a_model_that_cannot_be_loaded_ends_the_server(tmp_path, model):
    broken = repository(tmp_path / "release", convolution=convolution(), moody=moody()[:-20])
    with TritonProcess(broken, tmp_path) as running:
        assert running.process.wait(60) != 0
        assert "moody" in running.log()


def _arguments(triton):
    return Path(f"/proc/{triton.process.pid}/cmdline").read_text().split("\0")


async def _metric(triton, name):
    while True:  # its metrics are there a moment after its models
        try:
            reader, writer = await asyncio.open_connection(*triton.metrics.split(":"))
            break
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return [line for line in text.splitlines() if line.startswith(name)]
