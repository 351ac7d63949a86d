"""The lock's kubectl against the cluster of KUBECONFIG."""

import json
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_copies import key

from presage.manifests.objects import Manifest, dump_objects

MANAGER = "presage-cluster-test"
_KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


@dataclass(frozen=True)
class Answer:
    """code 0: allowed. said: stdout and stderr."""

    code: int
    said: str

    @property
    def allowed(self) -> bool:
        return self.code == 0


class Kubectl:
    """kubeconfig: as the variable of that name has it."""

    def __init__(self, kubeconfig: str) -> None:
        self._kubeconfig = kubeconfig

    def run(self, *words: str, stdin: str | None = None, check: bool = True, seconds: float = 180) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": self._kubeconfig}
        done = subprocess.run([str(_KUBECTL), *words], input=stdin, env=environment, capture_output=True, text=True, check=False, timeout=seconds)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json").stdout)

    def exists(self, *words: str) -> bool:
        return self.run("get", *words, "--ignore-not-found", "-o", "name").stdout.strip() != ""

    def apply(self, objects: Iterable[Manifest]) -> dict[tuple[str, str, str, str], Manifest]:
        """Server-side; what the server made of each."""
        words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGER}", "-f", "-", "-o", "json")
        return _by_key(self.run(*words, stdin=dump_objects(list(objects))).stdout)

    def read(self, objects: Iterable[Manifest]) -> dict[tuple[str, str, str, str], Manifest]:
        """What the cluster holds of these objects now."""
        return _by_key(self.run("get", "-f", "-", "-o", "json", stdin=dump_objects(list(objects))).stdout)

    def ask(self, manifest: Manifest) -> Answer:
        """Whether the server would create it: a dry run, through admission."""
        done = self.run("create", "--dry-run=server", "-f", "-", stdin=dump_objects([manifest]), check=False)
        return Answer(done.returncode, done.stdout + done.stderr)


def apply_in_order(kubectl: Kubectl, objects: Iterable[Manifest]) -> None:
    """Namespaces first, then the rest as its Applications come. What is refused is tried again for a while: a webhook may only just have appeared."""
    every = list(objects)
    rest = [found for found in every if found["kind"] != "Namespace"]
    kubectl.apply(found for found in every if found["kind"] == "Namespace")
    made: dict[tuple[str, str, str, str], Manifest] = {}
    refused = [""]

    def applied() -> bool:
        try:
            made.update(kubectl.apply(rest))
        except AssertionError as error:
            refused[0] = str(error)
            return False
        return True

    assert wait_for(applied, 60, every=2), refused[0]
    assert {key(found) for found in rest} <= made.keys()


def versions(found: dict[tuple[str, str, str, str], Manifest]) -> dict[tuple[str, str, str, str], str]:
    """resourceVersion by object."""
    return {name: str(manifest["metadata"]["resourceVersion"]) for name, manifest in found.items()}


def wait_for(holds: Callable[[], bool], seconds: float, every: float = 0.5) -> bool:
    """Whether it came to hold in time; a cluster is asked again and again, for nothing tells when it is done."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True


def _by_key(text: str) -> dict[tuple[str, str, str, str], Manifest]:
    decoder, found, rest = json.JSONDecoder(), {}, text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        for manifest in document["items"] if document["kind"] == "List" else [document]:
            found[key(manifest)] = manifest
        rest = rest[end:].lstrip()
    return found
