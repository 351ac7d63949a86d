"""A release by commits, in a real repository with real kustomize: what each commit holds, and that nobody decides twice."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from builders.approvals import new_key
from builders.repositories import ONE, TWO, copied, serving

from presage.errors import ArtifactRefused, InputError
from presage.manifests.objects import parse_objects
from presage.package.keys import Trust
from presage.package.reference import parse_reference
from presage.release.plan import advance, revert, start
from presage.release.records import read_records
from presage.release.repository import Moved, Repository
from presage.release.standing import Place, Standing
from presage.release.steps import Releasing

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PLACE = Place("production", "models-network", "incident")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return serving(tmp_path_factory.mktemp("repository") / "main")


@pytest.fixture
def here(source, tmp_path):
    return copied(source, tmp_path / "main")


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return new_key(tmp_path_factory.mktemp("keys") / "judge.key")


def releasing(here, key, place: Place = PLACE) -> Releasing:
    return Releasing(here.repository, place, key, Trust.of([key.public]))


def service(here, commit: str, application: str = "models-network") -> dict:
    text = here.git("show", f"{commit}:manifests/rendered/production/{application}/manifest.yaml")
    return next(found for found in parse_objects(text, "rendered") if found["kind"] == "InferenceService")


@pytest.mark.long
def test_a_whole_release_is_a_row_of_commits_each_of_them_whole(here, key):
    one = releasing(here, key)
    situation = one.read()
    assert situation.standing == Standing(ONE, 2)
    one.take(situation, start(situation.standing, TWO, situation.rules), NOW)
    seen, replicas = [], []
    while (situation := one.read()).standing.canary is not None:
        entry = service(here, situation.commit)["spec"]["canary"][0]
        replicas.append(situation.standing.replicas)
        seen.append((entry["trafficPercent"], entry["predictor"]["minReplicas"], service(here, situation.commit)["spec"]["predictor"]["model"]["storageUri"]))
        one.take(situation, advance(situation.standing, situation.rules, 3, situation.original), NOW, evidence={"requests": 100})
    assert seen == [(5, 1, ONE), (5, 2, ONE), (50, 2, ONE), (50, 3, ONE), (100, 3, ONE), (100, 3, TWO)]
    assert replicas == [3, 5, 5, 6, 6, 6]  # the stable predictor's own Pods, and the canary's
    assert one.read().standing == Standing(TWO, 2)
    assert here.git("status", "--short") == ""  # the checkout went along
    with here.repository.tree(here.repository.head()) as tree:
        records = read_records(tree, PLACE, parse_reference(TWO), Trust.of([key.public]))
        served = (tree / "manifests/rendered/production/policies/manifest.yaml").read_text()
    assert [record.step.step for record in records] == ["start", "prepare", "raise", "prepare", "raise", "promote", "retire"]
    assert records[2].step.evidence == {"requests": 100} and records[2].step.before["percent"] == 5
    assert f"[''{TWO}'']" in served  # admission lets one go back to it from now on
    assert here.git("log", "-1", "--format=%s") == "production/models-network: incident:2 retire"
    assert f"Release: {TWO}" in here.git("log", "-1", "--format=%B")


@pytest.mark.long
def test_where_more_pods_are_needed_than_the_overlay_allows_it_allows_more_for_as_long(here, key):
    """KServe refuses an InferenceService with fewer replicas at most than at least."""
    one = releasing(here, key)
    situation = one.read()
    most = service(here, situation.commit)["spec"]["predictor"]["maxReplicas"]
    one.take(situation, start(situation.standing, TWO, situation.rules), NOW)
    situation = one.read()
    one.take(situation, advance(situation.standing, situation.rules, most, situation.original), NOW)
    predictor = service(here, one.read().commit)["spec"]["predictor"]
    assert predictor["minReplicas"] > most and predictor["maxReplicas"] == predictor["minReplicas"]
    situation = one.read()
    one.take(situation, revert(situation.standing, situation.original), NOW)
    assert service(here, one.read().commit)["spec"]["predictor"]["maxReplicas"] == most


def test_what_is_taken_back_leaves_files_as_they_were_but_for_its_records(here, key):
    one, before = releasing(here, key), here.repository.head()
    situation = one.read()
    one.take(situation, start(situation.standing, TWO, situation.rules), NOW)
    situation = one.read()
    one.take(situation, revert(situation.standing, situation.original), NOW, because="fails more often than the stable release")
    changed = here.git("diff", "--name-only", before, "HEAD").splitlines()
    assert changed == [f"policies/releases/production/models-network/incident-2/{name}.dsse.json" for name in ("01-start", "02-revert")]


def test_of_two_who_decide_at_once_one_is_told_to_read_again(here, key):
    first, second = releasing(here, key), releasing(here, key)
    seen = [first.read(), second.read()]
    done: list[object] = []

    def go(one, situation):
        try:
            done.append(one.take(situation, start(situation.standing, TWO, situation.rules), NOW).commit)
        except Moved as moved:
            done.append(moved)

    threads = [threading.Thread(target=go, args=pair) for pair in zip((first, second), seen, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(one, Moved) for one in done) == [False, True]
    assert here.git("rev-list", "--count", f"{seen[0].commit}..HEAD") == "1"
    assert second.read().standing.canary is not None


def test_a_persons_own_changes_in_the_checkout_stay(here, key):
    mine = here.root / "manifests" / "overlays" / "production" / "models-network" / "kustomization.yaml"
    mine.write_text(mine.read_text() + "# a thought\n")
    one = releasing(here, key)
    situation = one.read()
    one.take(situation, start(situation.standing, TWO, situation.rules), NOW)
    assert mine.read_text().endswith("# a thought\n") and "canary" not in mine.read_text()
    assert "canary.yaml" in here.git("show", "HEAD:manifests/overlays/production/models-network/kustomization.yaml")


def test_a_record_that_was_changed_left_out_or_signed_by_a_stranger_is_found(here, key, tmp_path):
    one = releasing(here, key)
    for _ in range(2):
        situation = one.read()
        change = start(situation.standing, TWO, situation.rules) if situation.standing.canary is None else revert(situation.standing, situation.original)
        one.take(situation, change, NOW)
    folder = here.root / "policies" / "releases" / "production" / "models-network" / "incident-2"
    first, second = sorted(folder.iterdir())
    trust, reference = Trust.of([key.public]), parse_reference(TWO)
    assert len(read_records(here.root, PLACE, reference, trust)) == 2
    with pytest.raises(ArtifactRefused, match="not trusted here"):
        read_records(here.root, PLACE, reference, Trust.of([new_key(tmp_path / "stranger.key").public]))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(ArtifactRefused):
        read_records(here.root, PLACE, reference, trust)
    first.unlink()
    with pytest.raises(ArtifactRefused, match="number 02, and 01 is due"):
        read_records(here.root, PLACE, reference, trust)
    first.write_bytes(kept.replace(b'"keyid"', b'"keyId"'))
    with pytest.raises(ArtifactRefused):
        read_records(here.root, PLACE, reference, trust)


@pytest.mark.slow
def test_databases_wait_until_network_has_served_the_release_alone_for_a_day(here, key):
    databases = releasing(here, key, Place("production", "models-databases", "incident"))
    situation = databases.read(TWO)
    assert "network comes before databases" in databases.hold(situation, TWO, NOW)
    network = releasing(here, key)
    state = network.read()
    network.take(state, start(state.standing, TWO, state.rules), NOW)
    while (state := network.read()).standing.canary is not None:
        network.take(state, advance(state.standing, state.rules, 2, state.original), NOW)
    situation = databases.read(TWO)
    assert "alone since" in databases.hold(situation, TWO, NOW + timedelta(hours=23))
    assert databases.hold(situation, TWO, NOW + timedelta(hours=25)) == ""
    assert databases.hold(situation, TWO, datetime(2026, 11, 28, 12, tzinfo=UTC)).startswith("FRZ-1 holds promotions now")


def test_what_is_not_there_is_said(here, tmp_path, key):
    with pytest.raises(InputError, match="no branch 'other'"):
        Repository(here.root, "other").head()
    with pytest.raises(InputError, match="has no InferenceService 'other'; it has incident"):
        releasing(here, key, Place("production", "models-network", "other")).read()
    with pytest.raises(InputError, match="no such application"):
        releasing(here, key, Place("production", "models-storage", "incident")).read()


def test_a_bare_repository_is_as_good(here, key, tmp_path):
    here.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    one = Releasing(Repository(tmp_path / "bare", "main"), PLACE, key)
    situation = one.read()
    taken = one.take(situation, start(situation.standing, TWO, situation.rules), NOW)
    assert one.read().standing.canary.percent == 5 and taken.commit == Repository(tmp_path / "bare", "main").head()


def test_what_a_hook_of_git_hands_on_makes_no_other_repository_of_this_one(here, key, tmp_path, monkeypatch):
    here.git("clone", "--quiet", "--bare", ".", str(tmp_path / "other"))
    head = here.repository.head()
    here.commit("later", **{"policies/note": "x"})
    for name, value in {"GIT_DIR": tmp_path / "other", "GIT_INDEX_FILE": tmp_path / "index", "GIT_WORK_TREE": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    assert here.repository.head() != head
    assert releasing(here, key).read().standing.stable == ONE
