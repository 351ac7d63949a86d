"""The online store on Redis: when it is out, foreign, full or does not let one in; certificates and accounts. What every store does: test_online_store.py."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.certificates import Certificates
from builders.redis_server import RedisServer, eventually
from test_online_store import BOUND, CLOCK, row

from presage.errors import StateError, UsageError
from presage.features.store import OnlineStore, open_online_store
from presage.redis import RedisPlace


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", "appendonly yes", "appendfsync always") as server:
        yield server


def filled(redis: RedisServer) -> OnlineStore:
    store = open_online_store(redis.url())
    store.put_service("incident", BOUND, "simulated", CLOCK)
    store.write("incident", [row()])
    return store


def seconds_of(call) -> float:  # type: ignore[no-untyped-def]
    """How long a call takes that raises StateError."""
    before = time.perf_counter()
    with pytest.raises(StateError):
        call()
    return time.perf_counter() - before


def test_a_store_that_is_gone_says_so_and_comes_back_by_itself_with_what_it_held(redis: RedisServer) -> None:
    writer, reader = filled(redis), open_online_store(redis.url(), read_only=True)
    assert reader.entities("incident") == ["server-01"]
    redis.kill()
    with pytest.raises(StateError, match=r"redis://127\.0\.0\.1:\d+/0: Redis cannot be reached .*Start it, or correct the address"):
        reader.read("incident", ["server-01"])
    redis.start()
    [found] = eventually(lambda: reader.read("incident", ["server-01"]))
    assert found is not None and found.time == 600.0
    assert writer.write("incident", [row(time=900.0)]) == 1  # a writer asks again by itself, as a second time changes nothing


def test_a_writer_waits_for_a_redis_that_is_just_starting(redis: RedisServer) -> None:
    redis.kill()
    starting = threading.Thread(target=redis.start)
    store = open_online_store(redis.url())
    starting.start()
    store.put_service("incident", BOUND, "simulated", CLOCK)
    assert store.write("incident", [row()]) == 1
    starting.join()


def test_a_store_that_hangs_costs_a_reader_one_wait_and_then_nothing(redis: RedisServer) -> None:
    filled(redis)
    reader = open_online_store(redis.url(timeout_ms=200), read_only=True)
    assert reader.entities("incident") == ["server-01"]
    redis.pause()
    assert seconds_of(lambda: reader.read("incident", ["server-01"])) > 0.19
    rest = [seconds_of(lambda: reader.read("incident", ["server-01"])) for _ in range(200)]
    assert sum(rest) < 0.2  # 200 requests together cost less than one wait
    redis.resume()
    assert eventually(lambda: reader.entities("incident")) == ["server-01"]


def test_opening_never_waits_for_a_redis_that_is_not_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as nobody:
        address, waiting = nobody.getsockname()[1], [socket.socket() for _ in range(3)]
        for peer in waiting:  # the queue is full: the next connection is neither taken nor refused
            peer.setblocking(False)
            peer.connect_ex(nobody.getsockname())
        before = time.perf_counter()
        reader = open_online_store(f"redis://127.0.0.1:{address}?timeout_ms=1000", read_only=True)
        assert time.perf_counter() - before < 1.0
        assert seconds_of(lambda: reader.read("incident", ["a"])) > 0.9
        assert seconds_of(lambda: reader.read("incident", ["a"])) < 0.9
        reader.close()
        with pytest.raises(StateError, match="closed"):
            reader.read("incident", ["a"])


def test_an_answer_that_stops_in_its_middle_is_an_error_and_the_next_one_is_right(redis: RedisServer) -> None:
    """A proxy that cuts the first connection after a few bytes of its first answer."""
    filled(redis)
    with socket.create_server(("127.0.0.1", 0)) as door:

        def cut_then_pass() -> None:
            for allowed in (7, 1 << 30):
                peer, _ = door.accept()
                server = socket.create_connection(("127.0.0.1", redis.port))
                threading.Thread(target=_pass, args=(peer, server, 1 << 30), daemon=True).start()
                _pass(server, peer, allowed)

        threading.Thread(target=cut_then_pass, daemon=True).start()
        reader = open_online_store(f"redis://127.0.0.1:{door.getsockname()[1]}", read_only=True)
        with pytest.raises(StateError, match="cannot be reached"):
            reader.read("incident", ["server-01"])
        [found] = eventually(lambda: reader.read("incident", ["server-01"]))
        assert found is not None and found.values.tobytes() == row().values.tobytes()
        reader.close()


def _pass(source: socket.socket, target: socket.socket, allowed: int) -> None:
    with contextlib.suppress(OSError):
        while allowed > 0 and (part := source.recv(4096)):
            target.sendall(part[:allowed])
            allowed -= len(part)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_a_full_redis_is_one_sentence_and_changes_nothing(redis: RedisServer) -> None:
    store = filled(redis)
    redis.ask("CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(StateError, match="no memory left, nothing was written"):
        store.write("incident", [row(f"server-{number}", time=900.0) for number in range(200)])
    assert store.entities("incident") == ["server-01"]
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert store.write("incident", [row(time=900.0)]) == 1


def test_keys_of_somebody_else_are_refused_by_name(redis: RedisServer) -> None:
    redis.ask("SET", "presage:online:{incident}", "theirs")
    redis.ask("SET", "presage:online:{incident}:times", "theirs")
    store = open_online_store(redis.url())
    for call in (lambda: store.read("incident", ["a"]), lambda: store.write("incident", [row()])):
        with pytest.raises(StateError, match="a prefix, of its own"):
            call()
    beside = open_online_store(redis.url(prefix="ours"))
    assert beside.write("incident", [row()]) == 1 and beside.entities("incident") == ["server-01"]


def test_rows_of_another_format_and_what_is_no_row_are_refused(redis: RedisServer) -> None:
    store = filled(redis)
    for blob, words in ((b"\0" * 8 + b"\x09" + b"\0" * 19, "has format 9, this program reads 1"), (b"short", "is no row"), (b"\0" * 20, "is no row"),
                        (b"\0" * 8 + b"\x01" + b"\0" * 18 + b"\0" * 7, "is no row")):  # fmt: skip
        redis.ask("HSET", "presage:online:{incident}", "server-01", blob)
        with pytest.raises(StateError, match=words):
            store.read("incident", ["server-01"])


def test_an_account_reads_with_its_own_password_from_a_file_that_may_change(redis: RedisServer, tmp_path: Path) -> None:
    filled(redis)
    redis.ask("ACL", "SETUSER", "path", "on", ">first", "%R~presage:*", "+@read", "+@connection")
    password = tmp_path / "password"
    password.write_text("wrong\n")
    url = redis.url(user="path", password_file=password)
    reader = open_online_store(url, read_only=True)
    with pytest.raises(StateError, match=r"refuses this account .*Correct user and password_file"):
        eventually(lambda: reader.entities("incident"), seconds=0.3)
    password.write_text("first\n")
    assert eventually(lambda: reader.entities("incident")) == ["server-01"]
    with pytest.raises(StateError, match="refuses this account"):
        open_online_store(url).write("incident", [row()])  # it may read alone
    redis.ask("ACL", "SETUSER", "path", "resetpass", ">second")
    redis.ask("CLIENT", "KILL", "USER", "path")
    password.write_text("second")
    assert eventually(lambda: reader.entities("incident")) == ["server-01"]
    password.unlink()
    with pytest.raises(StateError, match="the password of Redis cannot be read"):
        eventually(lambda: open_online_store(url, read_only=True).entities("incident"), seconds=0.3)


def test_tls_asks_both_sides_for_certificates(tmp_path: Path) -> None:
    ours, foreign = Certificates(tmp_path / "ours"), Certificates(tmp_path / "foreign")
    certificate, key = ours.server
    lines = [f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {ours.ca}", "tls-auth-clients yes", "tls-protocols TLSv1.3"]
    with RedisServer(tmp_path / "redis", *lines, tls=True) as server:

        def store(ca: Path, certificate: Path, key: Path) -> OnlineStore:
            return open_online_store(server.url("rediss", ca=ca, certificate=certificate, key=key), read_only=True)

        trusted = open_online_store(server.url("rediss", ca=ours.ca, certificate=ours.client[0], key=ours.client[1]))
        trusted.put_service("incident", BOUND, "simulated", CLOCK)
        assert trusted.write("incident", [row()]) == 1
        for refused in (store(ours.ca, *foreign.client), store(foreign.ca, *ours.client), open_online_store(server.url("rediss", ca=ours.ca), read_only=True)):
            with pytest.raises(StateError, match="cannot be reached"):
                eventually(lambda store=refused: store.entities("incident"), seconds=1.0)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis://", "names no host"),
        ("redis://user:secret@host", "before the host, where others can read them"),
        ("redis://host:port", "is no address"),
        ("redis://host/zero", "has db 'zero'"),
        ("redis://host?timeout_ms=fast", "has timeout_ms 'fast'"),
        ("redis://host?timeout_ms=0", "at least 1"),
        ("redis://host?pasword_file=x", "has the option 'pasword_file'"),
        ("redis://host?ca=x", "redis uses none"),
        ("rediss://host?certificate=x", "Name both"),
        ("redis://host?user=x", "without password_file"),
        ("unix://", "names no host or socket"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_usage_error_and_shows_no_secret(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        open_online_store(url)
    assert "secret" not in refused.value.message


def test_an_address_is_read_whole() -> None:
    place = RedisPlace.parse("rediss://cache.example:6380/3?user=path&password_file=/p&ca=/c&certificate=/t&key=/k&prefix=mine&timeout_ms=30")
    assert place == RedisPlace("rediss", "cache.example", 6380, 3, "path", Path("/p"), Path("/c"), Path("/t"), Path("/k"), "mine", 0.03)
    assert str(place) == "rediss://cache.example:6380/3"
    assert RedisPlace.parse("unix:///run/redis.sock?db=2") == RedisPlace("unix", "/run/redis.sock", db=2)
