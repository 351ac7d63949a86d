"""How often each client may ask: the file, the buckets, and a running server that follows both."""

import asyncio
import json
import os

import httpx2
import pytest

from benchmarks.serving_process import ServerProcess
from inference.clients.buckets import MOST_UNNAMED, Clients, LimitReached
from inference.clients.certificates import HEADER, caller
from inference.clients.limits import ClientLimits, Limit, LimitsFile, follow, parse_limits
from presage.errors import InputError

GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"
STATUS = "spiffe://cluster.local/ns/clients/sa/status-page"


def limits(default=(60, 2), **clients):
    names = {"operators": OPERATORS, "status": STATUS}
    return ClientLimits("presage.client-limits/v1", {names[name]: Limit(*limit) for name, limit in clients.items()}, Limit(*default))


def document(default=(60, 2), **clients):
    import msgspec

    return msgspec.json.encode(limits(default, **clients))


class Asking:
    """Clients over a clock that a test turns."""

    def __init__(self, given, identified=True):
        self.now = 100.0
        identify = (lambda header: caller(header, GATEWAY)) if identified else None
        self.clients = Clients(given, lambda: self.now, identify=identify, probes=frozenset({"/v2/health/ready"}))

    def ask(self, client, path="/predict"):
        """0 where it may, else the seconds that it is told to wait."""
        headers = {} if client is None else {HEADER: f"By=spiffe://a/b;URI={client}".encode()}
        try:
            self.clients.admit(headers, path, self.now)
        except LimitReached as reached:
            assert reached.status == 429 and reached.reason == "client-limit" and f"Ask again in {reached.retry_after} s" in reached.message
            return reached.retry_after
        return 0

    def granted(self, client, times):
        return sum(self.ask(client) == 0 for _ in range(times))


def test_a_burst_is_granted_and_then_as_many_as_time_brings():
    asking = Asking(limits(operators=(120, 5)))
    assert asking.granted(OPERATORS, 9) == 5
    assert asking.ask(OPERATORS) == 1
    asking.now += 1.0
    assert asking.granted(OPERATORS, 9) == 2
    asking.now += 3600
    assert asking.granted(OPERATORS, 9) == 5


def test_retry_after_is_when_the_next_one_is_granted():
    asking = Asking(limits(status=(2, 1)))
    assert asking.ask(STATUS) == 0
    wait = asking.ask(STATUS)
    assert wait == 30
    asking.now += wait
    assert asking.ask(STATUS) == 0


def test_each_client_has_its_own_and_those_not_named_have_the_default_each():
    asking = Asking(limits(operators=(60, 3), status=(60, 1)))
    assert [asking.granted(name, 9) for name in (OPERATORS, STATUS, "spiffe://a/b", "spiffe://a/c")] == [3, 1, 2, 2]


def test_callers_without_an_id_share_the_default():
    asking = Asking(limits())
    assert [asking.granted(name, 1) for name in (None, "", "https://example.org", None)] == [1, 1, 0, 0]


def test_without_identity_all_callers_are_one_whatever_the_header_says():
    asking = Asking(limits(operators=(60, 50)), identified=False)
    assert asking.granted(OPERATORS, 9) == 2


def test_probes_are_free_for_who_has_no_certificate_and_count_for_who_has():
    asking = Asking(limits(status=(60, 3)))
    assert [asking.ask(None, "/v2/health/ready") for _ in range(50)] == [0] * 50
    assert [bool(asking.ask(STATUS, "/v2/health/ready")) for _ in range(5)] == [False] * 3 + [True] * 2


def test_new_limits_hold_at_once_and_fill_nobody_s_bucket():
    asking = Asking(limits(operators=(60, 4), status=(60, 2)))
    assert (asking.granted(OPERATORS, 9), asking.granted(STATUS, 1), asking.granted("spiffe://a/b", 9)) == (4, 1, 2)
    asking.clients.replace(limits(default=(60, 9), operators=(600, 100)))
    assert asking.granted(OPERATORS, 9) == 0
    assert asking.granted(STATUS, 9) == 1  # one of its two was left, and is not named any more
    assert asking.granted("spiffe://a/b", 9) == 0
    assert asking.granted("spiffe://a/new", 20) == 9
    asking.now += 1
    assert asking.granted(OPERATORS, 99) == 10


def test_unnamed_clients_do_not_grow_for_ever():
    asking = Asking(limits(default=(60, 1)))
    granted = sum(asking.granted(f"spiffe://a/{number}", 1) for number in range(MOST_UNNAMED + 50))
    assert granted == MOST_UNNAMED + 1  # those beyond share one bucket
    asking.now += 1  # all are full again, so they say nothing that a new one would not
    assert sum(asking.granted(f"spiffe://b/{number}", 1) for number in range(100)) == 100
    assert len(asking.clients._strangers) <= MOST_UNNAMED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no client limits"),
        (b"[]", "no client limits"),
        (b"\xff\xfe", "no client limits"),
        (b'{"schema": "presage.client-limits/v2", "clients": {}, "default": {"requests_per_minute": 1, "burst": 1}}', "v2"),
        (b'{"schema": "presage.client-limits/v1", "clients": {}}', "default"),
        (b'{"schema": "presage.client-limits/v1", "clients": {}, "default": {"requests_per_minute": 0, "burst": 1}}', "requests_per_minute"),
        (b'{"schema": "presage.client-limits/v1", "clients": {}, "default": {"requests_per_minute": 1, "burst": 0}}', "burst"),
        (b'{"schema": "presage.client-limits/v1", "clients": {}, "default": {"requests_per_minute": 1, "burst": 1}, "also": 1}', "also"),
        (b'{"schema": "presage.client-limits/v1", "clients": {"ops": {"requests_per_minute": 1, "burst": 1}}, "default": '
         b'{"requests_per_minute": 1, "burst": 1}}', "'ops' is no SPIFFE id"),
        (b'{"schema": "presage.client-limits/v1", "clients": {"spiffe://a/b": {"requests_per_minute": 1, "burst": 1}, "spiffe://a/b": '
         b'{"requests_per_minute": 1, "burst": 1}}, "default": {"requests_per_minute": 1, "burst": 1}}', "'spiffe://a/b' comes twice"),
        (b"[" * 100_000, "no client limits"),
    ],
    ids=range(11),
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(content, words):
    with pytest.raises(InputError) as refused:
        parse_limits(content, "limits.json")
    assert refused.value.message.startswith("limits.json: ") and words in refused.value.message


def test_a_missing_file_a_folder_and_a_huge_one_are_refused(tmp_path):
    (tmp_path / "huge").write_bytes(b" " * ((1 << 20) + 1))
    os.mkfifo(tmp_path / "pipe")  # would be waited for
    for name in ("missing", ".", "huge", "pipe"):
        with pytest.raises(InputError, match="--client_limits"):
            LimitsFile(tmp_path / name).read()


def config_map(folder, version, content):
    """What kubelet does: a fresh folder, and `..data` moved over to it in one step."""
    (folder / f"..{version}").mkdir()
    (folder / f"..{version}" / "limits.json").write_bytes(content)
    (folder / "..data.new").symlink_to(f"..{version}")
    (folder / "..data.new").rename(folder / "..data")


def test_a_change_is_seen_however_the_file_is_replaced(tmp_path):
    config_map(tmp_path, "first", document())
    path = tmp_path / "limits.json"
    path.symlink_to("..data/limits.json")
    file = LimitsFile(path)
    assert file.read() == limits()
    assert file.changed() is None
    config_map(tmp_path, "second", document(operators=(60, 1)))
    assert file.changed() == limits(operators=(60, 1)) and file.changed() is None
    (tmp_path / "aside").write_bytes(document(status=(60, 1)))
    (tmp_path / "aside").rename(path)
    assert file.changed() == limits(status=(60, 1)) and file.changed() is None
    path.write_bytes(document(default=(7, 7)))
    assert file.changed() == limits(default=(7, 7)) and file.changed() is None


def test_a_broken_change_is_said_once_and_the_next_good_one_is_taken(tmp_path):
    path = tmp_path / "limits.json"
    path.write_bytes(document())
    file = LimitsFile(path)
    file.read()
    for break_it in (lambda: path.write_bytes(b"{"), path.unlink):
        break_it()
        with pytest.raises(InputError):
            file.changed()
        assert file.changed() is None
    path.write_bytes(document(operators=(60, 1)))
    taken = []

    async def until_taken():
        done = asyncio.Event()
        following = asyncio.create_task(follow(file, lambda given: (taken.append(given), done.set()), every=0))
        await done.wait()
        following.cancel()

    asyncio.run(until_taken())
    assert taken == [limits(operators=(60, 1))]


@pytest.fixture
def limited(serving_site, tmp_path):
    """A server behind a sidecar, as far as its flags go; limits in a file that a test may replace."""
    path = tmp_path / "limits.json"
    path.write_bytes(document(default=(0.5, 2), operators=(60000, 1000), status=(0.5, 3)))
    with ServerProcess(serving_site, tmp_path, f"--client_limits={path}", "--client_identity=xfcc", f"--gateway_identity={GATEWAY}") as server:
        yield server, path


def ask(server, client=None, path="/v2/models", **headers):
    if client is not None:
        headers["x-forwarded-client-cert"] = f"By={GATEWAY};URI={client},By=spiffe://a/b;URI={GATEWAY}"
    return httpx2.get(server.address + path, headers=headers)


@pytest.mark.long
def test_a_running_server_answers_429_with_when_to_ask_again_and_counts_it(limited):
    server, _ = limited
    assert [ask(server, STATUS).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    refused = ask(server, STATUS)
    assert 100 < int(refused.headers["retry-after"]) <= 120 and "0.5 times a minute" in refused.json()["error"]
    assert {ask(server, OPERATORS).status_code for _ in range(200)} == {200}
    assert [ask(server).status_code for _ in range(3)] == [200, 200, 429]
    assert {ask(server, path="/v2/health/ready").status_code for _ in range(20)} == {200}
    metrics = ask(server, path="/metrics").text
    assert 'presage_refused_total{model="incident",reason="client-limit"} 4.0' in metrics
    assert 'presage_requests_total{model="incident",version="1",endpoint="other",code="429",rung=""} 4.0' in metrics
    # two headers are read as one, in their order: who adds one in front of the sidecar's is no other for it
    two = [("x-forwarded-client-cert", f"URI={OPERATORS}"), ("x-forwarded-client-cert", f"URI={STATUS}")]
    assert httpx2.get(server.address + "/v2/models", headers=two).status_code == 429
    bad = ask(server, **{"x-forwarded-client-cert": "URI"})
    assert bad.status_code == 400 and "Leave the header to the proxies" in bad.json()["error"]
    assert 'reason="client-identity"} 1.0' in ask(server, path="/metrics").text


def test_new_limits_reach_a_running_server_and_broken_ones_do_not(limited):
    server, path = limited
    while ask(server, STATUS).status_code == 200:
        pass
    path.write_bytes(b"{}")
    while not any("client limits not taken, the old ones hold" in line and str(path) in line for line in server.log):
        assert ask(server, STATUS).status_code == 429
    path.write_bytes(document(status=(600_000, 1000)))
    while ask(server, STATUS).status_code == 429:
        pass
    assert server.process.poll() is None


def test_limits_that_cannot_be_read_keep_a_server_from_starting(serving_site, tmp_path):
    server = ServerProcess(serving_site, tmp_path, f"--client_limits={tmp_path / 'none.json'}", "--client_identity=xfcc")
    assert server.wait() == 1
    assert server.log == [f"{tmp_path / 'none.json'}: the limits of clients cannot be read (No such file or directory). Name them with --client_limits."]


def test_a_document_of_the_policy_compiler_is_taken():
    rendered = {"schema": "presage.client-limits/v1", "clients": {OPERATORS: {"requests_per_minute": 120000, "burst": 4000}},
                "default": {"requests_per_minute": 600, "burst": 60}}  # fmt: skip
    assert parse_limits(json.dumps(rendered, indent=2).encode(), "x").clients[OPERATORS].burst == 4000
