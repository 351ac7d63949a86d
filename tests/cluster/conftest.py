"""A cluster to ask: that of KUBECONFIG. Overlays staging and production are applied to it; take one that nobody else uses.

It needs the CRDs of the custom kinds; those that are missing are taken from the folder PRESAGE_CRDS. Whatever these tests made, namespaces
and CRDs included, is deleted at the end; what was there before stays, with the fields that the overlays write.
"""

import os
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from cluster_copies import renamed, rendered, resolved, services
from cluster_kubectl import Kubectl, apply_in_order, wait_for

# the ways past the gate are listed where the policy is asked offline, too
sys.path.insert(0, str(Path(__file__).parents[1] / "manifests"))

UNDERNEATH = ("argocd", "kserve", "istio-system")  # namespaces of the platform underneath, in which overlays write
MADE = ("validatingadmissionpolicybindings", "validatingadmissionpolicies", "clusterstoragecontainers", "namespaces", "crds")
POLICY = "presage-releases"


@pytest.fixture(scope="session")
def kubectl():
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig:
        pytest.skip("KUBECONFIG is unset: there is no cluster to ask")
    return Kubectl(kubeconfig)


@pytest.fixture(scope="session")
def cluster(kubectl):
    """The cluster with every kind that the overlays use; at the end what was made is gone."""
    before = there(kubectl)
    folder = os.environ.get("PRESAGE_CRDS")
    files = sorted(Path(folder).rglob("*.yaml")) if folder else []
    missing = [file for file in files if f"customresourcedefinition.apiextensions.k8s.io/{name_of(file)}" not in before]
    try:
        for file in missing:
            kubectl.run("apply", "--server-side", "--force-conflicts", "-f", str(file))
        if missing:
            kubectl.run("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        for name in UNDERNEATH:
            if f"namespace/{name}" not in before:
                kubectl.run("create", "namespace", name)
        yield kubectl
    finally:
        for name in there(kubectl):
            if name not in before:
                kubectl.run("delete", name, "--wait=false", check=False)


@pytest.fixture(scope="session")
def staging(cluster):
    """Overlay staging, applied, its digests resolved, and its admission policy acting; (kubectl, objects)."""
    objects = resolved(rendered("staging"))
    apply_in_order(cluster, objects)
    known = deepcopy(renamed(services(objects)[0]))
    known["spec"]["predictor"]["model"]["storageUri"] = "presage://incident:1"
    # an API server reads a new policy within seconds, at a time of its own
    assert wait_for(lambda: POLICY in cluster.ask(known).said, 30), f"the policy did not come to act: {cluster.ask(known).said}"
    return cluster, objects


def there(kubectl):
    """Names of what these tests may make, policies first."""
    return [name for kind in MADE for name in kubectl.run("get", kind, "-o", "name", check=False).stdout.split()]


def name_of(file):
    return yaml.safe_load(file.read_bytes())["metadata"]["name"]
