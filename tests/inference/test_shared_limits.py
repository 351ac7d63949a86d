"""Limits that replicas share in one Redis: what they let through together, quotas that outlive a restart, and a Redis that goes and comes back."""

import asyncio
import json
import time

import httpx2
import msgspec
import pytest
from builders.redis_server import RedisServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from benchmarks.serving_process import ServerProcess
from inference.clients.buckets import Clients, LimitReached, QuotaUsed
from inference.clients.certificates import HEADER, caller
from inference.clients.limits import ClientLimits, Limit, parse_limits
from inference.clients.shared import SharedLimits
from presage.features.store import open_online_store
from presage.redis import RedisPlace

GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
SHOP = "spiffe://cluster.local/ns/shop/sa/checkout"
NOON = 1_760_000_000.0 // 86400 * 86400 + 43200


def limits(rate=60.0, burst=100, quota=None, default=(60, 2)):
    return ClientLimits("presage.client-limits/v1", {SHOP: Limit(rate, burst, quota)}, Limit(*default))


class Replica:
    """One replica's clients over a clock that all of a test's replicas share, and its task, one step at a time."""

    def __init__(self, redis, given, clock):
        self.clock = clock
        self.clients = Clients(given, lambda: clock[0], identify=lambda header: caller(header, GATEWAY), probes=frozenset(), wall=lambda: NOON + clock[0])
        self.shared = SharedLimits(self.clients, RedisPlace.parse(redis.url("unix")), lambda: clock[0])

    def ask(self, client=SHOP):
        try:
            self.clients.admit({HEADER: f"By=spiffe://a/b;URI={client}".encode()}, "/predict", self.clock[0])
        except (LimitReached, QuotaUsed) as refused:
            return refused
        return None

    def granted(self, times, client=SHOP):
        return sum(self.ask(client) is None for _ in range(times))

    async def step_until(self, shared):
        while True:
            await self.shared.step()
            if self.shared.shared is shared:
                return


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis"), "appendonly yes", "appendfsync always") as server:
        yield server


@pytest.fixture
def clock(redis):
    redis.ask("FLUSHALL")
    return [1000.0]


def replicas(redis, clock, count, given):
    made = [Replica(redis, given, clock) for _ in range(count)]

    async def all_shared():
        for replica in made:
            await replica.step_until(True)

    asyncio.run(all_shared())
    return made


def stepped(*which):
    async def steps():
        for replica in which:
            await replica.shared.step()

    asyncio.run(steps())


def test_two_replicas_together_grant_one_client_its_burst(redis, clock):
    first, second = replicas(redis, clock, 2, limits(rate=1, burst=1000))
    granted = 0
    for _ in range(20):
        granted += first.granted(100) + second.granted(100)
        stepped(first, second)
    assert 1000 <= granted <= 1000 + 2 * 250
    assert isinstance(first.ask(), LimitReached) and isinstance(second.ask(), LimitReached)


def test_a_client_within_its_burst_is_never_refused_at_whichever_replica_it_asks(redis, clock):
    first, second = replicas(redis, clock, 2, limits(rate=1, burst=1000))
    for replica in (first, second, first, second):
        assert replica.granted(200) == 200
        stepped(replica)


def test_what_one_replica_leased_and_does_not_need_the_other_gets(redis, clock):
    first, second = replicas(redis, clock, 2, limits(rate=1, burst=400))
    assert first.granted(100) == 100
    stepped(first, first)  # leases for the next time, then sees that nobody asks
    granted = 0
    for _ in range(10):
        granted += second.granted(100)
        stepped(second)
    assert 300 <= granted <= 300 + 100


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=some.lists(some.tuples(some.integers(0, 2), some.integers(0, 150), some.booleans()), max_size=25),
    burst=some.sampled_from([1, 3, 64, 100, 400]),
)
def test_whoever_asks_whom_in_whatever_order_no_more_than_the_stated_bound_is_granted(redis, asked, burst):
    redis.ask("FLUSHALL")
    three = replicas(redis, [1000.0], 3, limits(rate=0.001, burst=burst))
    granted = 0
    for which, times, steps in asked:
        granted += three[which].granted(times)
        if steps:
            stepped(three[which])
    assert granted <= burst + 3 * min(burst, max(64, burst / 4)) + 1
    if sum(times for _, times, _ in asked) <= min(burst, 64):
        assert granted == sum(times for _, times, _ in asked)


def test_a_quota_is_counted_together_and_outlives_the_replicas_and_the_redis(redis, clock):
    given = limits(rate=60_000, burst=10_000, quota=300)
    first, second = replicas(redis, clock, 2, given)
    assert first.granted(120) + second.granted(80) == 200
    stepped(first, second, first, second)
    assert first.granted(60) == 60
    stepped(first, second)
    redis.kill()
    redis.start()
    [third] = replicas(redis, clock, 1, given)
    assert third.granted(1) == 1  # it knows nothing of this client until it has told of it once
    stepped(third)
    assert third.granted(100) == 39
    refused = third.ask()
    assert isinstance(refused, QuotaUsed) and refused.status == 429 and "its 300 requests of today (UTC)" in refused.message
    assert 0 < refused.retry_after <= 86400


def test_a_quota_begins_anew_with_the_day_also_without_a_redis(clock):
    everybody = limits(default=(60_000, 1000, 5))
    clients = Clients(everybody, lambda: clock[0], identify=None, probes=frozenset(), wall=lambda: NOON + clock[0] - 1000.0)

    def granted(times):
        return sum(_admitted(clients, clock[0]) for _ in range(times))

    assert (granted(9), granted(1)) == (5, 0)
    clock[0] += 43_199
    assert granted(1) == 0
    clock[0] += 2
    assert granted(9) == 5


def _admitted(clients, now):
    try:
        clients.admit({}, "/predict", now)
    except QuotaUsed:
        return False
    return True


def test_while_the_redis_is_out_each_counts_alone_and_afterwards_what_was_spent_of_quotas_is_told_once(redis, clock):
    first, second = replicas(redis, clock, 2, limits(rate=60_000, burst=50, quota=10_000))
    assert first.granted(10) == 10
    stepped(first)
    redis.kill()
    clock[0] += 1.0  # also who has nothing to tell looks once a second
    asyncio.run(first.step_until(False))
    asyncio.run(second.step_until(False))
    for _ in range(3):
        clock[0] += 1.0
        assert (first.granted(80), second.granted(80)) == (50, 50)  # rate and burst each
        stepped(first, second)
    redis.start()
    asyncio.run(first.step_until(True))
    asyncio.run(second.step_until(True))
    stepped(first, second, first, second)
    [day] = redis.ask("KEYS", "presage:{limits}:quota:*")
    assert int(redis.ask("GET", day)) == 10 + 3 * 100


def test_a_report_whose_answer_was_lost_is_not_counted_twice(redis, clock):
    [replica] = replicas(redis, clock, 1, limits(rate=60, burst=100, quota=1000))
    assert replica.granted(30) == 30
    replica.shared._report()
    replica.shared._ask()  # heard, and its answer lost
    stepped(replica, replica)
    [day] = redis.ask("KEYS", "presage:{limits}:quota:*")
    assert int(redis.ask("GET", day)) == 30


def test_new_limits_hold_for_what_is_shared_too(redis, clock):
    first, second = replicas(redis, clock, 2, limits(rate=1, burst=200))
    assert first.granted(200) >= 64
    stepped(first, second)
    for replica in (first, second):
        replica.clients.replace(limits(rate=1, burst=10, quota=500))
    stepped(first, second, first, second)
    assert first.granted(50) + second.granted(50) <= 20


def test_clients_not_named_are_shared_too(redis, clock):
    first, second = replicas(redis, clock, 2, limits(default=(1, 3)))
    stranger = "spiffe://a/stranger"
    assert first.granted(3, stranger) == 3
    stepped(first)
    assert second.granted(1, stranger) <= 1
    stepped(second)
    assert second.granted(3, stranger) == 0


def test_what_is_leased_is_given_back_when_a_replica_ends(redis, clock):
    [replica] = replicas(redis, clock, 1, limits(rate=0.001, burst=1000))

    async def lives():
        running = asyncio.create_task(replica.shared.run(every=0))
        for _ in range(3):
            replica.granted(50)
            before = replica.shared._number
            while replica.shared._number < before + 2:
                await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(lives())
    assert float(redis.ask("HGET", f"presage:{{limits}}:rate:{SHOP}", "tokens")) == pytest.approx(850, abs=1)


def test_the_way_of_a_request_never_waits_for_a_redis_that_hangs(redis, clock):
    [replica] = replicas(redis, clock, 1, limits(rate=60_000, burst=1000))
    assert replica.granted(10) == 10
    redis.pause()
    try:

        async def asks_while_it_hangs():
            step = asyncio.create_task(replica.shared.step())
            await asyncio.sleep(0)
            before = time.perf_counter()
            granted = replica.granted(100)
            assert not step.done()
            spent = time.perf_counter() - before
            await step
            return granted, spent, time.perf_counter() - before

        granted, spent, hung = asyncio.run(asks_while_it_hangs())
    finally:
        redis.resume()
    assert granted == 100 and spent < hung / 10
    asyncio.run(replica.step_until(True))


def test_a_file_with_a_quota_is_read():
    content = msgspec.json.encode(limits(quota=20_000))
    assert parse_limits(content, "x").clients[SHOP].requests_per_day == 20_000


@pytest.mark.slow
def test_two_running_servers_share_limits_and_quota_in_one_redis_and_go_on_without_it(serving_site, tmp_path):
    allowed = {"requests_per_minute": 0.001, "burst": 40, "requests_per_day": 1000}
    document = {"schema": "presage.client-limits/v1", "clients": {SHOP: allowed}, "default": {"requests_per_minute": 60, "burst": 5}}
    (tmp_path / "limits.json").write_text(json.dumps(document))
    headers = {"x-forwarded-client-cert": f"By=spiffe://a/b;URI={SHOP}"}
    with RedisServer(tmp_path / "redis") as redis:
        flags = (f"--client_limits={tmp_path / 'limits.json'}", "--client_identity=xfcc", f"--limits_store={redis.url('unix')}")
        with ServerProcess(serving_site, tmp_path / "one", *flags) as one, ServerProcess(serving_site, tmp_path / "two", *flags) as two:
            for server in (one, two):
                while "presage_limits_shared 1" not in httpx2.get(f"{server.address}/metrics").text:
                    pass
            answers = [httpx2.get(f"{server.address}/v2/models", headers=headers) for _ in range(100) for server in (one, two)]
            granted = sum(answer.status_code == 200 for answer in answers)
            assert 40 <= granted <= 40 + 2 * 40  # burst + a replica's advance each; for one who asks this slowly about 40
            assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)
            redis.kill()
            for server in (one, two):
                while "presage_limits_shared 0" not in httpx2.get(f"{server.address}/metrics").text:
                    pass
                assert httpx2.get(f"{server.address}/v2/health/live").status_code == 200
            redis.start()
            for server in (one, two):
                while "presage_limits_shared 1" not in httpx2.get(f"{server.address}/metrics").text:
                    pass


@pytest.mark.long
def test_a_running_server_answers_from_rows_in_a_redis_and_without_it_too(serving_site, tmp_path):
    """Its own rows of SQLite, copied; the Redis goes and comes back with them."""
    filed = open_online_store(f"sqlite:{serving_site.online_store}", read_only=True)
    about, names = filed.describe("incident"), filed.entities("incident")
    with RedisServer(tmp_path / "redis", "appendonly yes", "appendfsync always") as redis:
        store = open_online_store(redis.url())
        store.put_service("incident", about.bound, about.source, about.clock)
        store.write("incident", [row for row in filed.read("incident", names) if row is not None])
        with ServerProcess(serving_site, tmp_path, f"--online_store={redis.url()}") as server:

            def ask(name=names[0]):
                return httpx2.post(f"{server.address}/api/v2/predict", json={"servers": [name]})

            listed = httpx2.get(f"{server.address}/api/v2/servers")
            assert listed.json().get("servers") == names, (listed.text, server.log)
            assert ask().json()["predictions"][0]["rung"] == "primary"
            assert ask("nobody").status_code == 404
            redis.kill()
            while httpx2.get(f"{server.address}/api/v2/servers").status_code == 200:
                pass
            assert {ask(name).status_code for name in names} == {200}  # no answer is missing
            redis.start()
            while httpx2.get(f"{server.address}/api/v2/servers").status_code != 200:
                pass
            assert ask().json()["predictions"][0]["rung"] == "primary"
