"""Somebody who asks all the time, as an application does: mutual TLS through the gateway, with a token. Counts what answered."""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from presage.client.connection import Access, Connection

_PATH = "/api/v2/predict"
_PAUSE = 0.01
"""Seconds between an answer and the next question: a hundred a second each."""


class Callers:
    """answered: release's version → answers; refused: what was no prediction; first: version → the first of its predictions.

    with Callers(access, "app-01") as callers: …
    """

    def __init__(self, access: Access, servers: Sequence[str], threads: int = 2) -> None:
        self._access, self._servers, self._ended = access, list(servers), threading.Event()
        self.answered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.first: dict[str, dict[str, Any]] = {}
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(35)

    @property
    def total(self) -> int:
        return sum(self.answered.values()) + sum(self.refused.values())

    def _ask(self) -> None:
        connection = Connection(self._access, 30.0)
        body = json.dumps({"servers": self._servers, "explain": False}).encode()
        while not self._ended.is_set():
            answer = connection.ask("POST", _PATH, body)
            if answer.status == 200:
                prediction = json.loads(answer.body)["predictions"][0]
                version = prediction["model"]["version"]
                self.answered[version] += 1
                self.first.setdefault(version, prediction)
            else:
                self.refused[f"status {answer.status}" if answer.status else answer.because] += 1
            self._ended.wait(_PAUSE)
        connection.close()
