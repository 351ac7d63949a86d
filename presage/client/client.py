"""Predictions from several endpoints, in time, or from the last rung."""

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import msgspec

from presage.client.answers import MOST_EXPLAINED, MOST_ROWS, TOP, Prediction, Predictions
from presage.client.attempts import Attempts, RetryBudget, Standing
from presage.client.connection import Access, Answered, Connection, sentence
from presage.client.last_rung import Row, by_rules, last_answer
from presage.client.memory import LastRungs, Memory
from presage.client.settings import ClientSettings
from presage.errors import InputError, PlaneError

PREDICT, RULES = "/api/v2/predict", "/api/v2/rules"
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_RULES_SECONDS = 1.0  # most that a call waits for rules after its answer is there


@dataclass(frozen=True)
class Clocks:
    """monotonic: seconds, never going back; wall: Unix seconds; sleep; chance: 0 to 1; identity: a fresh id of hex digits."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    identity: Callable[[], str] = lambda: secrets.token_hex(8)


class Client:
    """endpoints: URLs or Access, the preferred one first. memory: a file for last answers and rules, None: kept as long as this object.

    May be used from several threads."""

    def __init__(
        self, endpoints: Sequence[str | Access], *, settings: ClientSettings | None = None, memory: Path | None = None, clocks: Clocks | None = None
    ) -> None:  # fmt: skip
        settings = settings or ClientSettings()
        if not endpoints:
            raise InputError("The client has no endpoint. Name one at least.")
        accesses = [Access(endpoint) if isinstance(endpoint, str) else endpoint for endpoint in endpoints]
        self._settings, self._clocks = settings, clocks or Clocks()
        self._connections = [Connection(access, settings.seconds) for access in accesses]
        self._standing, self._budget = Standing(len(accesses)), RetryBudget(settings)
        self._memory, self._lock = Memory(memory, settings.servers_kept), Lock()
        self._asked_rules = self._written = float("-inf")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write what is to be kept, and close the connections."""
        with self._lock:
            self._memory.write()
        for connection in self._connections:
            connection.close()

    def predict(
        self,
        servers: Sequence[str] = (),
        *,
        rows: Sequence[Row] | None = None,
        known: Mapping[str, Row] | None = None,
        explain: bool = False,
        top: int = TOP,
        seconds: float | None = None,
    ) -> list[Prediction]:
        """Predictions in the order asked for, of `servers` or of `rows` ({feature: value}, None = not seen).

        known: values that the caller has of servers, for the rules of the last rung; never sent. seconds: for the whole call. Raises InputError,
        and PlaneError where nothing answers and nothing is known."""
        if bool(servers) == (rows is not None):
            raise InputError("Give servers or rows: one of the two.")
        asked: list[Any] = [dict(row) for row in rows] if rows is not None else list(servers)
        key, most = "rows" if rows is not None else "servers", MOST_EXPLAINED if explain else MOST_ROWS
        deadline = self._clocks.monotonic() + (self._settings.seconds if seconds is None else seconds)
        found: list[Prediction] = []
        for start in range(0, len(asked), most):
            part = asked[start : start + most]
            answered = self._ask(key, part, {"explain": explain, **({} if top == TOP else {"top": top})}, deadline)
            if isinstance(answered, str):
                answered = self._last_rung(key, part, known or {}, answered)
            found += answered
        return found

    def _ask(self, key: str, part: list[Any], how: dict[str, Any], deadline: float) -> list[Prediction] | str:
        """The answers, or why there are none."""
        body = msgspec.json.encode({key: part, **how})
        clocks = self._clocks
        self._budget.called()
        attempts = Attempts(self._standing, self._settings, self._budget, deadline=deadline, clock=clocks.monotonic, chance=clocks.chance)
        causes: dict[str, list[str]] = {}
        while (attempt := attempts.next()) is not None:
            if attempt.pause:
                clocks.sleep(attempt.pause)
            connection = self._connections[attempt.endpoint]
            answer = connection.ask("POST", PREDICT, body, seconds=attempt.seconds)
            cause = _cause(answer)
            if not cause:
                found = _predictions(answer.body, len(part))
                if found is not None:
                    attempts.answered(attempt.endpoint)
                    self._keep(found, connection, deadline)
                    return found
                cause = "its answer is none of this path"
            if cause not in (known := causes.setdefault(connection.url, [])):
                known.append(cause)
            attempts.failed(attempt.endpoint, answer.retry_after)
        said = "; ".join(f"{url}: {', then '.join(known)}" for url, known in causes.items()) or "the time was over before anybody was asked"
        return f"no endpoint answered ({said})"

    def _keep(self, found: list[Prediction], connection: Connection, deadline: float) -> None:
        now, wall = self._clocks.monotonic(), self._clocks.wall()
        with self._lock:
            for prediction in found:
                self._memory.keep(prediction, wall)
            due = self._rules_due(found[0], now)
            if due:
                self._asked_rules = now
        if due and deadline > now:
            answer = connection.ask("GET", RULES, seconds=min(_RULES_SECONDS, deadline - now))
            if answer.status == 200 and (rules := _rules(answer.body)) is not None:
                with self._lock:
                    self._memory.keep_rules(rules)
        with self._lock:
            if self._memory.changed and now - self._written >= self._settings.write_every:
                self._written = now
                self._memory.write()

    def _rules_due(self, prediction: Prediction, now: float) -> bool:
        known = self._memory.rules
        return (known is None or known.model != prediction.model) and now - self._asked_rules >= self._settings.rules_every

    def _last_rung(self, key: str, part: list[Any], known: Mapping[str, Row], why: str) -> list[Prediction]:
        if not self._settings.last_rung:
            raise PlaneError(f"{why[0].upper()}{why[1:]}. Ask again later, or let the client answer itself (last_rung).")
        identity, wall = self._clocks.identity(), self._clocks.wall()
        found: list[Prediction] = []
        with self._lock:
            rules = self._memory.rules
            for index, one in enumerate(part):
                server = one if key == "servers" else None
                kept = None if server is None else self._memory.last(server)
                if kept is not None and wall - kept.at <= self._settings.last_answer:
                    found.append(last_answer(kept, wall, why))
                elif rules is not None:
                    row = known.get(server) if server is not None else one
                    found.append(by_rules(rules, row, why, server=server, prediction_id=f"client-{identity}-{index}"))
                else:
                    raise PlaneError(f"{why[0].upper()}{why[1:]}, and this client never heard of the release's rules. Ask again when an endpoint is up.")
        return found


def _cause(answer: Answered) -> str:
    """Why to ask elsewhere or again; empty where there is an answer. Raises InputError and PlaneError where asking again would not help."""
    if answer.status is None:
        return answer.because
    if answer.status == 200:
        return ""
    said = sentence(answer.body) or f"answered {answer.status}"
    if answer.status in _AGAIN:
        return f"{answer.status}: {said}"
    if answer.status in (401, 403):
        raise PlaneError(f"The endpoint does not let this client in ({answer.status}: {said}). Check its certificate and token.")
    raise InputError(said)


def _predictions(body: bytes, count: int) -> list[Prediction] | None:
    try:
        found = msgspec.json.decode(body, type=Predictions).predictions
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return found if len(found) == count else None


def _rules(body: bytes) -> LastRungs | None:
    try:
        return msgspec.json.decode(body, type=LastRungs)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
