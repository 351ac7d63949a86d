"""One way to ask a Redis: where it is, who asks, one connection that comes back by itself, and failures as sentences.

    place = RedisPlace.parse("rediss://redis.models-network.svc:6379/0?user=path&password_file=/etc/presage/redis/password&ca=/etc/presage/redis/ca.crt")
    link = RedisLink(place, seconds=0.05)
    [row] = link.ask(("HMGET", "presage:online:{incident}", "server-01"))       # StateError where it cannot be asked

    redis://HOST[:PORT][/DB]   plain, for loopback and where a mesh encrypts
    rediss://…                 TLS 1.3; ca: who issued the server's certificate (PEM; default: the system's), certificate and key: the caller's own
    unix:///PATH               a socket; db: its number
    user, password_file        an ACL user; the file is read at each connection, so a rotation needs no restart
    prefix                     of every key (default presage); timeout_ms: of each answer

The library is imported where a link is opened: nobody without a Redis pays for it.
"""

import importlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from presage.errors import StateError, UsageError

KINDS = ("redis", "rediss", "unix")
PORT = 6379
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between attempts to reach it again
_CONNECT_SECONDS = 1.0  # at least: nobody waits for it but who chooses to
_OPTIONS = ("user", "password_file", "ca", "certificate", "key", "prefix", "timeout_ms", "db")
Command = Sequence[str | bytes | int]


class ConnectionLost(StateError):
    """The connection broke while an answer was due: nobody knows whether what was asked was done."""


@dataclass(frozen=True)
class RedisPlace:
    """kind: of KINDS. host: or the socket's path. seconds: None = the caller's own choice."""

    kind: str
    host: str
    port: int = PORT
    db: int = 0
    user: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    prefix: str = "presage"
    seconds: float | None = None

    @classmethod
    def parse(cls, url: str) -> "RedisPlace":
        """Raises UsageError naming what of the URL cannot be used. A password in it is refused: other users see command lines."""
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError as error:
            raise _unusable(url, f"is no address ({error})") from None
        if parts.scheme not in KINDS or parts.fragment:
            raise _unusable(url, "is no address of a Redis")
        if "@" in parts.netloc:
            raise UsageError(f"a {parts.scheme} URL names its user and password before the host, where others can read them. Write ?user=…&password_file=FILE.")
        try:
            options = dict(parse_qsl(parts.query, strict_parsing=True, keep_blank_values=True)) if parts.query else {}
        except ValueError as error:
            raise _unusable(url, f"has options that do not read ({error})") from None
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            raise _unusable(url, f"has the option {unknown[0]!r}, which is none of {', '.join(_OPTIONS)}")
        path = unquote(parts.path)
        host, db = (path, options.get("db", "0")) if parts.scheme == "unix" else (parts.hostname or "", path.strip("/") or options.get("db", "0"))
        if not host:
            raise _unusable(url, "names no host or socket")
        place = cls(
            parts.scheme, host, port, _number(url, "db", db), options.get("user", ""), _file(options, "password_file"), _file(options, "ca"),
            _file(options, "certificate"), _file(options, "key"), options.get("prefix", "presage"),
            _number(url, "timeout_ms", options["timeout_ms"]) / 1000 if "timeout_ms" in options else None,
        )  # fmt: skip
        place._check(url)
        return place

    def _check(self, url: str) -> None:
        if self.kind != "rediss" and (self.ca or self.certificate or self.key):
            raise _unusable(url, f"names certificates, and {self.kind} uses none. Write rediss")
        if (self.certificate is None) != (self.key is None):
            raise _unusable(url, "names one of certificate and key. Name both")
        if self.user and self.password_file is None:
            raise _unusable(url, "names a user without password_file. Name the file that holds the password")
        if self.seconds == 0:
            raise _unusable(url, "has timeout_ms=0. Give at least 1")

    def __str__(self) -> str:
        return f"unix://{self.host}?db={self.db}" if self.kind == "unix" else f"{self.kind}://{self.host}:{self.port}/{self.db}"

    def connection(self, seconds: float) -> Any:
        """A redis.connection.Connection, not connected yet. seconds: of connecting, and of each wait for an answer."""
        from redis import connection
        from redis.credentials import CredentialProvider

        kinds: Any = connection  # the library's own types are not whole

        file, user = self.password_file, self.user

        class FromFile(CredentialProvider):
            def get_credentials(self) -> tuple[str] | tuple[str, str]:
                assert file is not None
                try:
                    password = file.read_text(encoding="utf-8").strip()
                except (OSError, UnicodeDecodeError) as error:
                    raise StateError(f"{file}: the password of Redis cannot be read ({error}). Name its file with password_file.") from None
                return (user, password) if user else (password,)

        common: dict[str, Any] = {
            "db": self.db, "socket_timeout": seconds, "protocol": 2, "driver_info": None,
            "credential_provider": None if file is None else FromFile(),
        }  # fmt: skip
        if self.kind == "unix":
            return kinds.UnixDomainSocketConnection(path=self.host, **common)
        common |= {"host": self.host, "port": self.port, "socket_connect_timeout": seconds}
        if self.kind == "redis":
            return kinds.Connection(**common)
        import ssl

        return kinds.SSLConnection(
            ssl_ca_certs=_text(self.ca), ssl_certfile=_text(self.certificate), ssl_keyfile=_text(self.key), ssl_min_version=ssl.TLSVersion.TLSv1_3, **common
        )


class RedisLink:
    """One connection to a Redis, for one thread at a time. It is made, and made again after a loss, in a thread beside the caller's, since even
    the name server may hang.

    patience: seconds that a caller waits for a connection. One without waits for the first one alone, `seconds` at most; after a loss it is
    refused at once until there is a connection again, so that a dead Redis costs it one wait of `seconds`, and then nothing.
    """

    def __init__(self, place: RedisPlace, seconds: float, patience: float = 0.0) -> None:
        self.place = place
        self._seconds = place.seconds or seconds
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: Any = None
        self._attempt: threading.Event | None = None
        self._again_at, self._pause = 0.0, _FIRST_PAUSE
        self._trouble = ""
        self._waited = self._closed = False
        importlib.import_module("redis.connection")  # a third of a second: at the opening, not under the first question
        self._begin()

    def ask(self, *commands: Command) -> list[Any]:
        """The answers to `commands`, sent together, in their order. Raises StateError saying why there is none, ConnectionLost where
        nothing is known of what the Redis did."""
        connection = self._connection or self._awaited()
        from redis.exceptions import RedisError, ResponseError

        answers: list[Any] = []
        try:
            connection.send_packed_command(connection.pack_commands(commands), check_health=False)
            for _ in commands:
                try:
                    answers.append(connection.read_response(disable_decoding=True))
                except ResponseError as error:
                    answers.append(error)
        except (RedisError, OSError) as error:
            self._lose(connection)
            raise ConnectionLost(_sentence(self.place, error).message) from error
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise _sentence(self.place, answer) from answer
        return answers

    def close(self) -> None:
        """More than once is harmless; what is asked afterwards is refused."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _awaited(self) -> Any:
        until = time.monotonic() + (self._patience or (0.0 if self._waited else self._seconds))
        self._waited = True
        while True:
            attempt, left = self._begin(), until - time.monotonic()
            if attempt is not None and left > 0:
                attempt.wait(left)
            connection, left = self._connection, until - time.monotonic()
            if connection is not None:
                return connection
            if left <= 0 or self._closed or not self._patience:
                raise StateError(self._trouble or f"{self.place}: Redis is not reached yet. Ask again in a moment.")
            time.sleep(min(left, max(0.01, self._again_at - time.monotonic())))

    def _begin(self) -> threading.Event | None:
        """The attempt that is under way, a new one where one is due; None where it is too early for one."""
        with self._lock:
            if self._closed:
                self._trouble = f"{self.place}: this link is closed. Open another."
                return None
            if self._attempt is not None:
                return self._attempt
            if self._connection is not None or time.monotonic() < self._again_at:
                return None
            attempt = self._attempt = threading.Event()
        threading.Thread(target=self._connect, args=(attempt,), name="redis", daemon=True).start()
        return attempt

    def _connect(self, attempt: threading.Event) -> None:
        connection: Any = None
        trouble = ""
        try:
            connection = self.place.connection(max(self._seconds, _CONNECT_SECONDS))
            connection.connect()
            connection.send_command("PING", check_health=False)  # a machine that hangs still takes connections
            connection.read_response()
            connection.update_current_socket_timeout(self._seconds)
        except Exception as error:  # whatever it is, the callers are told, and the next attempt may go better
            trouble = error.message if isinstance(error, StateError) else _sentence(self.place, error).message
        with self._lock:
            self._attempt = None
            if not trouble and not self._closed:
                self._connection, self._trouble, self._pause = connection, "", _FIRST_PAUSE
                connection = None
            elif trouble:
                self._trouble = trouble
                self._again_at, self._pause = time.monotonic() + self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        if connection is not None:
            connection.disconnect()
        attempt.set()

    def _lose(self, connection: Any) -> None:
        connection.disconnect()
        with self._lock:
            self._waited = True
            if self._connection is connection:
                self._connection = None
        self._begin()


def _sentence(place: RedisPlace, error: BaseException) -> StateError:
    from redis import exceptions as known

    said = str(error) or type(error).__name__
    if isinstance(error, known.AuthenticationError | known.NoPermissionError):
        return StateError(f"{place}: Redis refuses this account ({said}). Correct user and password_file, or the account's rights (ACL).")
    if isinstance(error, known.OutOfMemoryError):
        return StateError(f"{place}: Redis has no memory left, nothing was written. Raise its maxmemory, or remove what else it holds.")
    if isinstance(error, known.BusyLoadingError):
        return StateError(f"{place}: Redis is still loading its data. Ask again in a moment.")
    if isinstance(error, known.ResponseError):
        return StateError(f"{place}: Redis does not do what was asked ({said}). Give the platform a database, or a prefix, of its own, on a primary.")
    return StateError(f"{place}: Redis cannot be reached ({said}). Start it, or correct the address.")


def _number(url: str, what: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise _unusable(url, f"has {what} {text!r}, which is no number")
    return int(text)


def _file(options: dict[str, str], name: str) -> Path | None:
    return Path(options[name]) if options.get(name) else None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _unusable(url: str, problem: str) -> UsageError:
    return UsageError(f"{url.partition('?')[0]!r} {problem}. Write redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///SOCKET.")
