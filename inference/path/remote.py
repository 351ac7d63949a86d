"""Members that Triton runs, in the same Pod: asked by gRPC, never waited for longer than the caller has time.

    triton = TritonServer("127.0.0.1:9000")
    remote = remote_members(release, triton)      # member id → RemoteModel, for ready_release
    await triton.until_ready(remote.values())
    scores = await remote["primary"].score(x, seconds=0.05)

The caller's time travels as the call's deadline, after which nobody waits any more. What Triton has taken by then it computes all the
same, so that a Triton which hangs is not given more than the breaker allows. Nothing is tried twice here; breakers and ladder decide what
comes next. The messages are the path's own, so that neither `tritonclient` nor `kserve` (which exclude each other) is in this process.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

import grpc
import numpy as np

from inference.path.model import Cause, ModelFailed, is_memory
from inference.path.request import F32
from inference.path.shape import row_shape
from inference.server.rpc.protocol import MESSAGES, SERVICE
from presage.logs import get_logger
from presage.package.release import Package, Release
from presage.package.triton import MAX_BATCH, served_by_triton

IN_FLIGHT = 8
"""Calls to one Triton at a time. Its queue stays short: whoever waits, waits here, where a deadline ends the wait at once."""
ASK_AGAIN, PATIENCE = 0.1, 1.0
"""Seconds between questions whether a model is ready, and for one answer."""
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),  # the server is in this very Pod, whatever the environment says of proxies
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),  # a Triton that was restarted is seen at once
    ("grpc.max_receive_message_length", 1 << 20),
)
_NOT_LOADED = ("unknown model", "is not ready", "no available versions", "failed to load")
_log = get_logger("presage.triton")


class TritonServer:
    """One channel to the Triton at `address` (host:port), opened on the loop that first asks it."""

    def __init__(self, address: str, in_flight: int = IN_FLIGHT) -> None:
        self.address = address
        self._turns = asyncio.Semaphore(in_flight)
        self._opened: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    async def call(self, method: str, request: Any, seconds: float) -> Any:
        """One unary call within `seconds`. Raises ModelFailed."""
        try:
            return await self._call(method)(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise ModelFailed(_cause(error), f"{error.code().name}: {(error.details() or '')[:300]}") from None

    async def infer(self, request: Any, until: float) -> Any:
        """ModelInfer when it is its turn; until: perf_counter seconds. Raises ModelFailed."""
        try:
            async with asyncio.timeout(until - perf_counter()):
                await self._turns.acquire()
        except TimeoutError:
            raise ModelFailed("slow", "no turn within the time there was") from None
        try:
            if (left := until - perf_counter()) <= 0:
                raise ModelFailed("slow", "no time was left")
            return await self.call("ModelInfer", request, left)
        finally:
            self._turns.release()

    async def until_ready(self, models: "Iterable[TritonModel]") -> None:
        """Until every one of these models is loaded, warm, and takes and gives what its contract says."""
        waiting, said = list(models), ""
        while waiting:
            missing = [(model, why) for model, why in [(model, await model.missing()) for model in waiting] if why]
            news = "; ".join(f"{model.name}: {why}" for model, why in missing)
            if news and news != said:
                _log.warning("waiting for Triton", address=self.address, missing=news)
            waiting, said = [model for model, _ in missing], news
            if waiting:
                await asyncio.sleep(ASK_AGAIN)

    async def close(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    def _call(self, method: str) -> Any:
        if (found := self._calls.get(method)) is None:
            if self._opened is None:
                self._opened = grpc.aio.insecure_channel(self.address, options=_OPTIONS)
            answer: Callable[[bytes], Any] = MESSAGES[f"{method}Response"].FromString
            found = self._opened.unary_unary(f"/{SERVICE}/{method}", request_serializer=_serialized, response_deserializer=answer)
            self._calls[method] = found
        return found


class TritonModel:
    """One model of a Triton: a RemoteModel. shape: of one row; slices of `batch` rows at most."""

    def __init__(self, server: TritonServer, name: str, shape: Sequence[int], batch: int = MAX_BATCH) -> None:
        self.name = name
        self._server, self._shape, self._batch = server, tuple(shape), batch

    async def score(self, x: F32, seconds: float) -> list[float]:
        """x f32[n, …] → a score a row, within `seconds`. Raises ModelFailed."""
        until = perf_counter() + seconds
        if seconds <= 0:
            raise ModelFailed("slow", "no time was left")
        if len(x) <= self._batch:
            return await self._score(x, until)
        tasks = [asyncio.ensure_future(self._score(x[start : start + self._batch], until)) for start in range(0, len(x), self._batch)]
        try:
            parts = await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # where one failed the others' answers are worth nothing
                task.cancel()
        return [score for part in parts for score in part]

    async def missing(self) -> str:
        """Why it cannot be asked yet, empty where it can."""
        try:
            request = MESSAGES["ModelReadyRequest"](name=self.name)
            if not (await self._server.call("ModelReady", request, PATIENCE)).ready:
                return "not ready"
            told = await self._server.call("ModelMetadata", MESSAGES["ModelMetadataRequest"](name=self.name), PATIENCE)
        except ModelFailed as failure:
            return str(failure)
        takes = {(tensor.name, tensor.datatype, tuple(tensor.shape)) for tensor in told.inputs}
        if takes != {("x", "FP32", (-1, *self._shape))} or [(tensor.name, tensor.datatype) for tensor in told.outputs] != [("score", "FP32")]:
            return f"takes {sorted(takes)}, and its contract says x FP32 {[-1, *self._shape]}"
        return ""

    async def _score(self, x: F32, until: float) -> list[float]:
        answer = await self._server.infer(self._request(x), until)
        raw = answer.raw_output_contents
        if len(answer.outputs) != 1 or answer.outputs[0].name != "score" or answer.outputs[0].datatype != "FP32" or len(raw) != 1 or len(raw[0]) != 4 * len(x):
            raise ModelFailed("failed", f"no FP32 score for each of {len(x)} rows")
        scores: list[float] = np.frombuffer(raw[0], "<f4").tolist()
        return scores

    def _request(self, x: F32) -> Any:
        request = MESSAGES["ModelInferRequest"](model_name=self.name, raw_input_contents=[np.ascontiguousarray(x, "<f4").tobytes()])
        request.inputs.add(name="x", datatype="FP32", shape=x.shape)
        request.outputs.add(name="score")
        return request


def remote_members(release: Release, server: TritonServer) -> dict[str, TritonModel]:
    """By member id: those that lie in the Pod's `triton/<model>` and are asked there. The others run in the path's own process."""
    return {member.id: _model(release.packages[member.id], server) for member in served_by_triton(release.document.members)}


def _model(package: Package, server: TritonServer) -> TritonModel:
    return TritonModel(server, package.model, row_shape(package.contract))


def _serialized(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content


def _cause(error: grpc.aio.AioRpcError) -> Cause:
    code, text = error.code(), (error.details() or "").lower()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "slow"
    if code is grpc.StatusCode.NOT_FOUND or any(sign in text for sign in _NOT_LOADED):
        return "not loaded"
    if is_memory(error):
        return "out of memory"
    return "unreachable" if code is grpc.StatusCode.UNAVAILABLE else "failed"
