"""Releases go with what they alone hold; what others hold, what serves, and what somebody is about to name stays loadable."""

import os
import shutil
from datetime import UTC, datetime, timedelta

import pytest
from builders.object_store import ObjectStore
from builders.releases import LocalKeys, copied, parts, policy, seal, world
from builders.retention import MODELS, hold, terms

from presage.errors import StateError
from presage.governance.audit import AuditLog
from presage.governance.retention.applying import apply
from presage.governance.retention.deciding import plan
from presage.governance.retention.journal import Journal
from presage.governance.retention.lifecycles import current, ended, lifecycle_of, set_lifecycle
from presage.governance.retention.stores.packages import Leftovers, Packages, references
from presage.governance.retention.terms import Terms
from presage.package.composing import keep
from presage.package.gate import admit
from presage.package.release import compose
from presage.package.store import ReleaseStore
from presage.storage.address import open_storage
from presage.storage.s3 import Bucket

LATER = datetime.now(UTC) + timedelta(days=3000)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Five releases of one name: the first two share a package, and the last three too."""
    found = world(tmp_path_factory.mktemp("made"))
    releases = [found.published]
    for seed in (21, 22, 23, 24):
        primary = parts() if seed == 21 else parts(seed=22)
        releases.append(found.publish({"primary": primary, "simpler": parts("incident-simpler", seed)}))
    return found, releases


@pytest.fixture
def site(made, tmp_path):
    return copied(made[0], tmp_path / "site"), made[1]


def stores(store, used=None, now=LATER, by=None):
    return [Packages(store.layout, by or terms(), used or {}, lambda: now), Leftovers(store.layout, by or terms(), lambda: now)]


def go(root, found, now=LATER, by=None, **options):
    return apply(found, by or terms(), AuditLog.open(root / "audit"), Journal(root / "retention"), lambda: now, **options)


def subjects(root):
    return [entry.subject for entry in AuditLog.open(root / "audit").entries()]


def loads(found, release, target):
    shutil.rmtree(target, ignore_errors=True)
    return admit(release.uri, target, found.store, found.trust).digest == release.reference.digest


def test_the_last_of_a_name_stay_and_load_and_the_others_go_with_what_they_alone_hold(site, tmp_path):
    found, releases = site
    before = references(found.store.layout)
    assert go(tmp_path, stores(found.store), only=["packages"]).deleted == 2
    assert found.store.versions("incident") == [3, 4, 5]
    assert all(loads(found, release, tmp_path / "pod") for release in releases[2:])
    left = {f"sha256:{path.name}" for path in (found.root / "releases" / "blobs" / "sha256").iterdir()}
    assert left == references(found.store.layout) < before
    assert subjects(tmp_path) == [f"packages/incident:{n}@{releases[n - 1].reference.digest}" for n in (1, 2)]
    (first, _) = AuditLog.open(tmp_path / "audit").entries()
    assert first.facts["release"] == f"incident:1@{releases[0].reference.digest}" and first.facts["rule"] == "RET-3"


def test_a_version_s_number_is_never_given_again(site, tmp_path):
    found, _ = site
    go(tmp_path, stores(found.store))
    assert found.publish({"primary": parts(seed=31)}).reference.version == 6


def test_what_is_younger_than_its_rule_is_not_touched(site, tmp_path):
    found, _releases = site
    before = sorted(path.name for path in found.root.rglob("*"))
    assert go(tmp_path, stores(found.store, now=datetime.now(UTC) + timedelta(days=360)), now=datetime.now(UTC) + timedelta(days=360)).deleted == 0
    assert sorted(path.name for path in found.root.rglob("*")) == before


def test_what_is_needed_stays_whatever_its_age(site, tmp_path):
    found, releases = site
    used = {releases[0].reference.digest: "incident:1 is named by the manifests of production/models-network"}
    go(tmp_path, stores(found.store, used))
    assert found.store.versions("incident") == [1, 3, 4, 5] and loads(found, releases[0], tmp_path / "pod")


def test_a_hold_on_one_release_keeps_it_loadable(site, tmp_path):
    found, releases = site
    by = terms(hold(releases=["incident:2"]))
    go(tmp_path, stores(found.store, by=by), by=by)
    assert found.store.versions("incident") == [2, 3, 4, 5] and loads(found, releases[1], tmp_path / "pod")


def test_a_package_that_a_publisher_has_just_put_stays_when_the_last_release_that_held_it_goes(site, tmp_path):
    """Its blobs were refreshed before they are judged: that they were counted as nobody else's does not matter."""
    found, releases = site
    name = f"incident:1@{releases[0].reference.digest}"
    packages, _ = stores(found.store, now=datetime.now(UTC) + timedelta(hours=1))
    prepared = {one.id: packages.prepare(one) for one in packages.items()}[name]
    stored = {"primary": found.package(parts()), "simpler": found.package(parts("incident-simpler", 8))}  # the second is of that release alone
    assert packages.remove(name, prepared) and found.store.versions("incident") == [2, 3, 4, 5]
    again = found.store.publish(compose("incident", stored, policy(), 0.05), stored, found.key)
    assert loads(found, again, tmp_path / "pod")


def test_what_somebody_has_named_since_a_kill_stays_when_the_deletion_is_finished(site, tmp_path):
    found, releases = site
    name = f"incident:1@{releases[0].reference.digest}"
    packages, _ = stores(found.store)
    prepared = {one.id: packages.prepare(one) for one in packages.items()}[name]
    found.store.layout.update(lambda entries: entries.pop(0))  # as far as it came
    again = found.publish({"primary": parts(), "simpler": parts("incident-simpler", 8)})
    late, _ = stores(found.store)
    assert not late.whole(name, prepared) and late.remove(name, prepared)
    assert loads(found, again, tmp_path / "pod")


def test_a_blob_that_is_there_is_refreshed_when_it_is_put_again(site):
    found, _ = site
    for path in (found.root / "releases" / "blobs" / "sha256").iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    stored = found.package(parts())
    written = found.store.layout.storage.written(found.store.layout.key(stored.digest))
    assert written is not None and written > datetime.now(UTC) - timedelta(minutes=10)


def test_what_no_name_leads_to_goes_after_its_time_and_packages_that_are_named_do_not(site, tmp_path):
    found, _ = site
    found.package(parts("incident-left", 41))
    keep(found.store, found.package(parts("incident-kept", 42)))
    (tmp_path / "young").mkdir()
    soon = datetime.now(UTC) + timedelta(days=29)
    assert go(tmp_path / "young", stores(found.store, now=soon), now=soon).deleted == 0
    soon += timedelta(days=2)
    outcome = go(tmp_path, stores(found.store, now=soon), now=soon)
    assert outcome.stores["leftovers"].deleted > 5 and outcome.stores["packages"].deleted == 0
    names = {one.id.partition(":")[0] for one in stores(found.store)[0].items()}
    assert names == {"incident", "models/incident-kept"}
    assert {entry.facts["rule"] for entry in AuditLog.open(tmp_path / "audit").entries()} == {"RET-4"}


def test_a_sealed_release_goes_with_its_data_key(site, tmp_path):
    found, releases = site
    sealed = seal(found, releases[0], LocalKeys())
    for release in releases[1:4]:
        other = seal(found, release, LocalKeys())
        for path in (other.layout.folder / "blobs" / "sha256").iterdir():
            shutil.copy(path, sealed.layout.folder / "blobs" / "sha256" / path.name)
        entry = other.layout.top().manifests[0]
        sealed.layout.update(lambda entries, entry=entry: entries.append(entry))
    go(tmp_path, stores(sealed))
    assert sealed.versions("incident") == [2, 3, 4] and len(subjects(tmp_path)) == 1
    assert {f"sha256:{path.name}" for path in (sealed.layout.folder / "blobs" / "sha256").iterdir()} == references(sealed.layout)


def test_where_a_release_cannot_be_read_nothing_is_removed(site, tmp_path):
    """What it leads to cannot be told, so nothing can be told to be left over."""
    found, _ = site
    entry = found.store.layout.top().manifests[-1]
    (found.root / "releases" / found.store.layout.key(entry.digest)).write_bytes(b"{}")
    before = sorted(path.name for path in (found.root / "releases").rglob("*"))
    with pytest.raises(StateError, match="Until then nothing is removed there"):
        go(tmp_path, stores(found.store))
    assert sorted(path.name for path in (found.root / "releases").rglob("*")) == before and subjects(tmp_path) == []


def test_of_a_release_whose_model_nobody_declares_the_longest_time_counts(site):
    found, _ = site
    by = Terms(terms().policy, {name: one for name, one in MODELS.items() if name != "incident"})
    (first, *_) = plan(stores(found.store, by=by)[0].items(), by, LATER)
    assert first.item.tier is None and first.kept == timedelta(days=1825)


@pytest.fixture(scope="module")
def object_store(tmp_path_factory):
    with ObjectStore.launched(tmp_path_factory.mktemp("object-store")) as server:
        server.wait()
        yield server


def test_in_a_bucket_the_same_goes_and_the_rest_loads(made, object_store, tmp_path):
    source, releases = made
    target = ReleaseStore.open("s3://releases/kept", object_store.environment("publisher"))
    target.layout.make()
    for path in (source.root / "releases" / "blobs" / "sha256").iterdir():
        target.layout.storage.write(f"blobs/sha256/{path.name}", path.read_bytes())
    target.layout.update(lambda entries: entries.extend(source.store.layout.top().manifests))
    found = stores(target)
    assert go(tmp_path, found).deleted == 2
    assert target.versions("incident") == [3, 4, 5]
    assert {f"sha256:{one.key.rpartition('/')[2]}" for one in target.layout.storage.listed("blobs/sha256/")} == references(target.layout)
    assert admit(releases[2].uri, tmp_path / "pod", target, source.trust).digest == releases[2].reference.digest


def test_a_bucket_is_given_the_lifecycle_of_the_policy_and_keeps_it(object_store):
    bucket = open_storage("s3://releases/kept", object_store.environment("admin"))
    assert isinstance(bucket, Bucket)
    text = lifecycle_of(terms().policy, "releases")
    assert text is not None and current(bucket) == {}
    assert (set_lifecycle(bucket, text), set_lifecycle(bucket, text)) == (True, False)
    assert current(bucket) == ended(text) and set(ended(text)) == {"RET-7-old-versions", "RET-7-unfinished-uploads"}
    other = lifecycle_of(terms(("old_versions: 30d", "old_versions: 31d")).policy, "releases")
    assert other is not None and set_lifecycle(bucket, other) and current(bucket) == ended(other) != ended(text)
    assert lifecycle_of(terms().policy, "another") is None
