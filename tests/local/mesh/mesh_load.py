"""Clients that ask without pause on connections they keep, while something changes."""

import collections
import http.client
import threading
from collections.abc import Callable


class Load:
    """`with Load(connect, ask) as load:` … load.answers counts (status, body); load.failures says what went wrong.

    connect: opens a connection; request: asks once on it and returns (status, body). A connection that the server announces to
    close is opened anew, as any client does.
    """

    def __init__(self, connect: Callable[[], http.client.HTTPConnection], request: Callable[[int], tuple[str, str, dict]], clients: int = 4) -> None:
        self._connect, self._request = connect, request
        self._ending = threading.Event()
        self._answered = threading.Condition()
        self.answers: collections.Counter[tuple[int, str]] = collections.Counter()
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        self.go_on(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def go_on(self, answers: int, patience: float = 20.0) -> None:
        """Wait for that many answers more."""
        with self._answered:
            wanted = self.answers.total() + answers
            assert self._answered.wait_for(lambda: self.answers.total() >= wanted, patience), f"too few answers; failures: {self.failures[:5]}"

    def reset(self) -> None:
        """Count from here, once requests begun earlier are answered."""
        self.go_on(2 * len(self._threads))
        with self._answered:
            self.answers.clear()

    @property
    def statuses(self) -> set[int]:
        return {status for status, _ in self.answers}

    @property
    def bodies(self) -> set[str]:
        return {body for _, body in self.answers}

    def _ask(self, number: int) -> None:
        connection = None
        while not self._ending.is_set():
            try:
                connection = connection or self._connect()
                method, path, options = self._request(number)
                connection.request(method, path, **options)
                answer = connection.getresponse()
                status, body = answer.status, answer.read().decode()
                if answer.will_close:
                    connection.close()
                    connection = None
                with self._answered:
                    self.answers[status, body] += 1
                    self._answered.notify_all()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()
