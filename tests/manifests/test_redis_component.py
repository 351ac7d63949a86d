"""Redis as a component: what it adds to an overlay, that verify finds nothing wrong with it, and that predictors and telemetry ask it."""

import shutil

import pytest
from builders.redis_overlay import with_redis

from presage.manifests.expand import expand
from presage.manifests.objects import parse_objects
from presage.manifests.render import manifests_folder, render_overlay
from presage.manifests.verify import verify

URL = "redis://redis:6379/0"


@pytest.fixture(params=[("local", "models-network", "streams"), ("production", "models-databases", "streams/databases")], ids=lambda found: found[0])
def laid_over(request, tmp_path):
    folder = tmp_path / "manifests"
    shutil.copytree(manifests_folder(), folder)
    overlay, domain, streams = request.param
    with_redis(folder, overlay, domain, streams)
    return folder, overlay, domain


def objects_of(folder, overlay, domain):
    found = expand([one for name, text in render_overlay(folder, overlay).items() for one in parse_objects(text, name)])
    return {(one["kind"], one["metadata"]["name"]): one for one in found if one["metadata"].get("namespace") == domain}


def test_verify_finds_nothing_wrong_with_it(laid_over):
    folder, overlay, _ = laid_over
    assert [(finding.rule, finding.object, finding.message) for finding in verify(folder, overlays=[overlay]).errors] == []


def test_predictors_and_telemetry_ask_it_and_nobody_else_may(laid_over):
    objects = objects_of(*laid_over)
    predictor = objects["Deployment", "incident-predictor"]["spec"]["template"]["spec"]["containers"][0]["args"]
    telemetry = objects["Deployment", "telemetry"]["spec"]["template"]["spec"]["containers"][0]["args"]
    for args, wanted in ((predictor, {f"--online_store={URL}", f"--limits_store={URL}"}), (telemetry, {f"--online_store={URL}"})):
        last = {word.partition("=")[0]: word for word in args}
        assert wanted <= set(last.values())
    [rule] = objects["AuthorizationPolicy", "redis"]["spec"]["rules"]
    assert rule["from"] == [{"source": {"serviceAccounts": ["incident", "telemetry"]}}]


def test_it_runs_as_nobody_writes_to_its_volume_alone_and_evicts_nothing(laid_over):
    objects = objects_of(*laid_over)
    pod = objects["Deployment", "redis"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert container["resources"]["limits"].keys() == {"cpu", "memory"}
    settings = objects["ConfigMap", "redis"]["data"]["redis.conf"].splitlines()
    assert {"maxmemory-policy noeviction", "appendonly yes", 'rename-command FLUSHALL ""'} <= set(settings)


@pytest.mark.long
def test_no_committed_overlay_has_it():
    for overlay in ("local", "staging", "production"):
        assert b"redis" not in b"".join(render_overlay(manifests_folder(), overlay).values())
