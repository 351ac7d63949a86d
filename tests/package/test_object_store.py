"""Releases in a bucket of a real SeaweedFS: publishers race, writers are cut off, stores are out, and each is said in a sentence."""

import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
from builders.object_store import ObjectStore
from builders.releases import LocalKeys, parts, policy, world

from presage.errors import ArtifactRefused, InputError
from presage.package.gate import admit
from presage.package.keys import Trust
from presage.package.publishing import publish
from presage.package.release import compose
from presage.package.store import ReleaseStore
from presage.storage.address import open_storage
from presage.storage.folder import Folder
from presage.storage.storage import Changed, Storage, StorageError, Unreadable


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world(tmp_path_factory.mktemp("made"))


@pytest.fixture
def bucket(object_store, request):
    """A prefix of the bucket for this test alone."""
    name = request.node.name.partition("[")[0][:40].rstrip("_")
    return lambda account="publisher", **changes: ReleaseStore.open(f"s3://releases/{name}", object_store.environment(account) | changes)


def test_a_release_in_a_bucket_is_the_release_of_the_folder(made, bucket, tmp_path):
    assert publish(made.published.reference, made.store, bucket(), None, trust=made.trust) == made.published.reference
    release = admit(made.published.uri, tmp_path / "models", bucket("serving"), made.trust)
    assert release.uri == made.published.uri
    for path in (made.root / "releases").rglob("*"):
        if path.is_file() and path.name != "index.json":
            key = str(path.relative_to(made.root / "releases"))
            assert bucket().layout.storage.read(key, 1 << 20) == path.read_bytes(), key


def test_publishing_again_writes_nothing_and_says_the_same(made, bucket):
    keys = LocalKeys()
    first = publish(made.published.reference, made.store, bucket(), keys, trust=made.trust)
    index = bucket().layout.storage.current("index.json", 1 << 20)
    assert publish(made.published.reference, made.store, bucket("serving"), keys, trust=made.trust) == first  # an account that may not write
    assert bucket().layout.storage.current("index.json", 1 << 20) == index


def test_racing_publishers_get_versions_of_their_own(made, bucket):
    stored = made.package(parts(seed=21))
    target = bucket()
    target.layout.make()
    shared = ReleaseStore(made.root / "releases")
    publish(made.published.reference, shared, target, None, trust=made.trust)
    lifted = target.add(made.root / "made" / "incident", made.trust)
    assert lifted.digest == stored.digest
    drafts = [compose("incident", {"primary": lifted}, policy(), 0.1 + number / 100) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        published = list(pool.map(lambda draft: bucket().publish(draft, {"primary": lifted}, made.key), drafts))
    assert sorted(one.document.version for one in published) == list(range(2, 8))
    assert bucket().versions("incident") == list(range(1, 8))


def test_of_two_that_publish_the_same_at_once_both_are_done_and_one_entry_is_left(made, bucket, tmp_path):
    keys, start = LocalKeys(), threading.Barrier(4)

    def go(_):
        start.wait()
        return publish(made.published.reference, made.store, bucket(), keys, trust=made.trust)

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(go, range(4))) == {made.published.reference}
    assert bucket().versions("incident") == [1]
    assert admit(made.published.uri, tmp_path / "models", bucket(), made.trust, keys=keys).uri == made.published.uri


def test_a_version_that_is_taken_by_another_release_is_refused_with_the_next_free_one(made, bucket, tmp_path):
    """Two laptops that trained apart, and one bucket."""
    other = world(tmp_path / "other")
    publish(made.published.reference, made.store, bucket(), None, trust=made.trust)
    mine = {"primary": other.package(parts(seed=5))}
    first = other.store.publish(compose("fresh", mine, policy(), 0.2), mine, other.key)
    publish(first.reference, other.store, bucket(), None, trust=other.trust)
    different = other.store.publish(compose("incident", mine, policy(), 0.2), mine, other.key)
    assert different.document.version == 2
    publish(different.reference, other.store, bucket(), None, trust=other.trust)
    taken = made.publish({"primary": parts(seed=6)})
    with pytest.raises(InputError, match=r"already holds another release called incident:2 .* presage release compose incident --version 3\."):
        publish(taken.reference, made.store, bucket(), None, trust=made.trust)
    mine = {"primary": made.package(parts(seed=6))}
    free = made.store.publish(compose("incident", mine, policy(), 0.05), mine, made.key, least=3)
    publish(free.reference, made.store, bucket(), None, trust=made.trust)
    assert bucket().versions("incident") == [1, 2, 3]


def test_what_lies_there_in_the_clear_is_not_taken_for_sealed(made, bucket):
    publish(made.published.reference, made.store, bucket(), None, trust=made.trust)
    with pytest.raises(InputError, match="in the clear"):
        publish(made.published.reference, made.store, bucket(), LocalKeys(), trust=made.trust)


@dataclass
class CutOff:
    """A storage whose writer dies at its n-th write."""

    storage: Storage
    left: int

    def write(self, key, content):
        self._spend()
        self.storage.write(key, content)

    def replace(self, key, content, before):
        self._spend()
        self.storage.replace(key, content, before)

    def _spend(self):
        if self.left == 0:
            raise ConnectionResetError("the network cable")
        self.left -= 1

    def __getattr__(self, name):
        return getattr(self.storage, name)


def test_an_upload_cut_off_anywhere_is_seen_by_nobody_and_goes_on_when_repeated(made, tmp_path):
    keys, finished = LocalKeys(), False
    for writes in range(200):
        target = ReleaseStore(tmp_path / str(writes))
        try:
            publish(made.published.reference, made.store, ReleaseStore(CutOff(target.layout.storage, writes)), keys, trust=made.trust)
            finished = True
        except ConnectionResetError:
            assert target.versions("incident") == []
            with pytest.raises(ArtifactRefused, match="0 releases"):
                admit(made.published.uri, tmp_path / "models", target, made.trust, keys=keys)
        if finished or writes % 5 == 0:
            publish(made.published.reference, made.store, target, keys, trust=made.trust)
            assert admit(made.published.uri, tmp_path / "models", target, made.trust, keys=keys).uri == made.published.uri
        if finished:
            break
    assert writes > 10 and finished


def test_many_writers_of_one_document_lose_no_update(object_store):
    def count_up(_):
        storage = open_storage("s3://releases/counter", object_store.environment("publisher"))
        while True:
            before = storage.current("count", 100)
            try:
                return storage.replace("count", str(int(before.content) + 1 if before else 1).encode(), before)
            except Changed:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count_up, range(12)))
    assert open_storage("s3://releases/counter", object_store.environment("serving")).read("count", 10) == b"12"


def test_what_is_absent_is_unreadable_and_what_is_large_is_cut(object_store):
    storage = open_storage("s3://releases/limits", object_store.environment("publisher"))
    with pytest.raises(Unreadable, match="no such object"):
        storage.read("blobs/absent", 10)
    assert storage.current("index.json", 10) is None
    storage.write("large", os.urandom(3_000_000))
    assert len(storage.read("large", 1000)) == 1001
    assert storage.holds("large", 3_000_000) and not storage.holds("large", 2_999_999) and not storage.holds("absent", 1)


def foreign_authority(environment, tmp_path):
    from presage.local.authority import Authority

    Authority.open(tmp_path / "foreign")
    return {"PRESAGE_S3_CA": str(tmp_path / "foreign" / "ca.crt")}


def wrong_secret(environment, tmp_path):
    shutil.copytree(environment["PRESAGE_S3_CREDENTIALS"], tmp_path / "wrong")
    (tmp_path / "wrong" / "secret_key").write_text("guessed")
    return {"PRESAGE_S3_CREDENTIALS": str(tmp_path / "wrong")}


def unknown_account(environment, tmp_path):
    shutil.copytree(environment["PRESAGE_S3_CREDENTIALS"], tmp_path / "unknown")
    (tmp_path / "unknown" / "access_key").write_text("NOBODY")
    return {"PRESAGE_S3_CREDENTIALS": str(tmp_path / "unknown")}


def no_credentials(environment, tmp_path):
    return {"PRESAGE_S3_CREDENTIALS": str(tmp_path / "absent")}


def authority_that_is_none(environment, tmp_path):
    (tmp_path / "ca.crt").write_text("none")
    return {"PRESAGE_S3_CA": str(tmp_path / "ca.crt")}


def nobody_there(environment, tmp_path):
    return {"PRESAGE_S3_ENDPOINT": "https://127.0.0.1:1"}


def no_such_name(environment, tmp_path):
    return {"PRESAGE_S3_ENDPOINT": "https://s3.object-store.svc:8333"}


FAULTS = {
    foreign_authority: "is not vouched for by an authority of",
    wrong_secret: r"refuses GET .* \(403 SignatureDoesNotMatch\)",
    unknown_account: r"refuses GET .* \(403 InvalidAccessKeyId\)",
    no_credentials: "access_key and secret_key of the object store cannot be read",
    authority_that_is_none: "cannot be read as certificates",
    nobody_there: "https://127.0.0.1:1 does not answer",
    no_such_name: "https://s3.object-store.svc:8333 does not answer",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_store_that_cannot_be_asked_is_said_in_a_sentence_and_the_gate_stays_shut(object_store, made, tmp_path, fault):
    environment = object_store.environment("serving")
    storage = open_storage("s3://releases", environment | fault(environment, tmp_path))
    with pytest.raises(StorageError, match=FAULTS[fault]) as refused:
        admit(made.published.uri, tmp_path / "models", ReleaseStore(replace(storage, tries=2)), made.trust)
    assert "\n" not in refused.value.message and refused.value.message.endswith(".")
    assert list((tmp_path / "models").iterdir()) == []


def test_an_account_that_may_only_read_cannot_publish(made, bucket):
    with pytest.raises(StorageError, match=r"refuses PUT .* \(403 AccessDenied\)"):
        publish(made.published.reference, made.store, bucket("serving"), None, trust=made.trust)


def test_a_bucket_that_is_not_there_is_said(object_store, made):
    absent = ReleaseStore.open("s3://absent", object_store.environment("admin"))
    with pytest.raises((StorageError, ArtifactRefused), match="has no bucket absent"):
        publish(made.published.reference, made.store, absent, None, trust=made.trust)


def test_credentials_are_read_again_at_each_request(object_store, tmp_path):
    environment = object_store.environment("publisher")
    folder = shutil.copytree(environment["PRESAGE_S3_CREDENTIALS"], tmp_path / "storage")
    right = (folder / "secret_key").read_text()
    storage = open_storage("s3://releases/rotated", environment | {"PRESAGE_S3_CREDENTIALS": str(folder)})
    storage.write("k", b"1")
    (folder / "secret_key").write_text("rotated away")
    with pytest.raises(StorageError):
        storage.read("k", 10)
    (folder / "secret_key").write_text(right)
    assert storage.read("k", 10) == b"1"


def mounts_allowed() -> bool:
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not mounts_allowed(), reason="a small disk needs a mount namespace, which this machine does not give")
def test_a_full_disk_is_said_and_leaves_nothing_half_visible(tmp_path, made):
    small = ("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"', str(tmp_path / "data"))
    with ObjectStore.launched(tmp_path, *small) as server:
        server.wait()
        store = ReleaseStore(replace(open_storage("s3://releases", server.environment("publisher")), tries=1))
        with pytest.raises(StorageError, match="Its disk may be full"):
            for _ in range(6):
                store.layout.put(os.urandom(4_000_000), "application/octet-stream")
            publish(made.published.reference, made.store, store, None, trust=made.trust)
        assert store.versions("incident") == []


def test_a_folder_is_as_good_a_target(made, tmp_path):
    keys = LocalKeys()
    target = ReleaseStore(Folder(tmp_path / "target"))
    reference = publish(made.published.reference, made.store, target, keys, trust=Trust.of([made.key.public]))
    assert admit(str(reference), tmp_path / "models", target, made.trust, keys=keys).uri == made.published.uri
