"""Overlays applied to a cluster: every object is taken, and applying them again changes nothing."""

import pytest
from cluster_copies import rendered, resolved
from cluster_kubectl import apply_in_order, versions

from presage.manifests.objects import dump_objects

TRIES = 10  # a status that a controller writes between two looks moves a resourceVersion; each object must rest in one of them


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_applying_an_overlay_twice_changes_nothing_the_second_time(cluster, overlay):
    objects = resolved(rendered(overlay))
    apply_in_order(cluster, objects)
    restless = set(versions(cluster.read(objects)))
    for _ in range(TRIES):
        before = versions(cluster.read(objects))
        after = versions(cluster.apply(objects))
        restless -= {name for name, version in after.items() if before.get(name) == version}
        if not restless:
            break
    assert restless == set()


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_what_is_unresolved_in_git_is_refused_as_a_whole(staging, overlay):
    kubectl, _ = staging
    unresolved = [found for found in rendered(overlay) if found["kind"] in ("InferenceService", "ServingRuntime", "Deployment")]
    done = kubectl.run("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-", stdin=dump_objects(unresolved), check=False)
    assert done.returncode != 0
    refused = [line for line in done.stderr.splitlines() if "presage-releases" in line]
    assert len(refused) == len(unresolved), done.stderr
