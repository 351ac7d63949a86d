"""A rendered Pod's containers run by podman, with what the manifest says of them and nothing else.

    pod = Pod.rendered("incident-predictor", folder)
    code, said, left = pod.run(podman, image, "storage-initializer")       an init container, or a job's, to its end
    with pod.start(podman, image, "kserve-container") as running: running.ask("GET", "/v2/health/ready")

Volumes are folders of `folder`, owned as fsGroup has it; ConfigMaps hold what the manifests say. The Pod has no network but its own
loopback: it can reach nothing, and nothing else is where its ports are.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from images.podman import CONFINED, Podman
from presage.local.quantities import parse_bytes
from presage.manifests.expand import expand
from presage.manifests.objects import group, parse_objects

ROOT = Path(__file__).parents[2]
_ASK = Path(__file__).with_name("ask.py")
_LIMITS = tuple(word for word in CONFINED if word.startswith("--ulimit"))


def rendered_objects():
    """Of overlay local; what Vault would bring is not needed here."""
    places = sorted((ROOT / "manifests/rendered/local").glob("*/manifest.yaml"))
    found = [one for place in places for one in parse_objects(place.read_bytes(), str(place))]
    return [one for one in found if group(one) != "secrets.hashicorp.com"]


@dataclass
class Pod:
    """environment: replaces (or, with None, leaves out) variables of the manifest. mounts: folder → path, read-only, beside its own.
    shadowed: files of the image with nothing in their place."""

    manifest: dict
    objects: list
    folder: Path
    environment: dict
    mounts: dict
    shadowed: tuple

    @classmethod
    def rendered(cls, name, folder, environment=None, mounts=None, shadowed=(), *, kind="Deployment", namespace=None):
        """namespace: where several have the name."""
        objects = expand(rendered_objects())
        [found] = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (kind, name) and namespace in (None, one["metadata"]["namespace"])]
        pod = cls(found, objects, folder, environment or {}, mounts or {}, shadowed)
        for volume in pod.spec["volumes"]:
            pod._fill(volume)
        return pod

    @property
    def spec(self):
        spec = self.manifest["spec"]
        return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]

    @property
    def grace(self):
        return self.spec.get("terminationGracePeriodSeconds", 30)

    def container(self, name):
        [found] = [one for one in [*self.spec.get("initContainers", []), *self.spec["containers"]] if one["name"] == name]
        return found

    def volume(self, name):
        return self.folder / name

    def writable(self, name):
        """Mount paths that the container may write to."""
        return {mount["mountPath"] for mount in self.container(name)["volumeMounts"] if not mount.get("readOnly")}

    def words(self, name, image):
        """Arguments of `podman run`."""
        container, pod_security = self.container(name), self.spec["securityContext"]
        security = pod_security | container["securityContext"]
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["capabilities"] == {"drop": ["ALL"]} and security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
        words = [*CONFINED, "--network=none", f"--entrypoint={json.dumps(container['command'])}"]
        if "runAsUser" in security:
            words.append(f"--user={security['runAsUser']}:{security.get('runAsGroup', 0)}")
        words += [f"--group-add={security['fsGroup']}"] if "fsGroup" in security else []
        words += [f"--env={key}={value}" for key, value in self._environment(container).items()]
        for mount in container["volumeMounts"]:
            words.append(f"--volume={self.volume(mount['name'])}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}")
        words.append(f"--volume={self._termination_log()}:/dev/termination-log:rw")
        words += [f"--volume={place}:{path}:ro" for place, path in self.mounts.items()]
        words += [f"--volume={self._nothing()}:{path}:ro" for path in self.shadowed]
        limits = container["resources"]["limits"]
        words += [f"--memory={parse_bytes('memory', limits['memory'])}b", f"--cpus={limits['cpu']}"]
        return [*words, image, *container.get("args", [])]

    def run(self, podman, image, name, uri=None):
        """A container to its end: exit code, what it said, and what it left as termination message. uri: in place of the manifest's release."""
        words = [uri if uri and word.startswith("presage://") else word for word in self.words(name, image)]
        done = subprocess.run([*podman.command, "run", "--rm", *words], capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, done.stdout + done.stderr, self._termination_log().read_text()

    @contextmanager
    def start(self, podman, image, name):
        """A container that runs, started and ready by its own probes."""
        identity = podman("run", "--detach", *self.words(name, image)).strip()
        try:
            running = Running(podman, identity, self.container(name))
            running.wait_ready()
            yield running
        finally:
            podman("rm", "--force", "--time=0", identity)

    def _environment(self, container):
        namespace = self.manifest["metadata"]["namespace"]
        said = {}
        for one in container["env"]:
            value = namespace if "valueFrom" in one else one["value"]
            said[one["name"]] = value.replace("$(POD_NAMESPACE)", namespace)
        return {key: value for key, value in (said | self.environment).items() if value is not None}

    def _fill(self, volume):
        place = self.volume(volume["name"])
        place.mkdir(parents=True)
        if "configMap" in volume:
            namespace, name = self.manifest["metadata"]["namespace"], volume["configMap"]["name"]
            [data] = [one.get("data") or {} for one in self.objects
                      if one["kind"] == "ConfigMap" and (one["metadata"]["name"], one["metadata"]["namespace"]) == (name, namespace)]
            for key, text in data.items():
                (place / key).write_text(text)
        elif "emptyDir" in volume or "persistentVolumeClaim" in volume:
            group_of = self.spec["securityContext"].get("fsGroup", 0)
            os.chown(place, 0, group_of)
            place.chmod(0o2775 if group_of else 0o777)

    def _termination_log(self):
        place = self.folder / "termination-log"
        place.touch()
        place.chmod(0o666)
        return place

    def _nothing(self):
        place = self.folder / "nothing"
        place.touch(mode=0o444)
        return place


@dataclass
class Running:
    podman: Podman
    identity: str
    manifest: dict

    @property
    def pid(self):
        return int(self.podman("inspect", "--format={{.State.Pid}}", self.identity))

    @property
    def log(self):
        done = subprocess.run([*self.podman.command, "logs", self.identity], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def ask(self, method, path, document=None, port=8080):
        """Status and body of one request from inside the Pod's network."""
        request = json.dumps({"method": method, "path": path, "document": document, "port": port})
        command = ["nsenter", "--target", str(self.pid), "--net", sys.executable, str(_ASK)]
        done = subprocess.run(command, input=request, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr + self.log
        answer = json.loads(done.stdout)
        return answer["status"], answer["body"]

    def python(self, code):
        """Run Python in the container; exit code and what it printed."""
        done = subprocess.run([*self.podman.command, "exec", self.identity, "python", "-c", code], capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def exec(self, *words):
        return subprocess.run([*self.podman.command, "exec", self.identity, *words], capture_output=True, text=True, check=False, timeout=60).returncode

    def wait_ready(self):
        """As the kubelet does: the startup probe as often as it may fail, then the readiness probe."""
        startup, readiness = self.manifest["startupProbe"], self.manifest["readinessProbe"]
        ports = {port["name"]: port["containerPort"] for port in self.manifest["ports"]}
        until = time.monotonic() + startup["periodSeconds"] * startup["failureThreshold"]
        for probe in (startup, readiness):
            get = probe["httpGet"]
            while self.ask("GET", get["path"], port=ports.get(get["port"], get["port"]))[0] != 200:
                assert time.monotonic() < until and self.runs, self.log
                time.sleep(probe["periodSeconds"] / 5)

    @property
    def runs(self):
        return self.podman("inspect", "--format={{.State.Running}}", self.identity).strip() == "true"

    def stop(self, grace):
        """SIGTERM, then SIGKILL after `grace` seconds: its exit code and how long it took."""
        began = time.monotonic()
        self.podman("stop", f"--time={grace}", self.identity)
        seconds = time.monotonic() - began
        return int(self.podman("inspect", "--format={{.State.ExitCode}}", self.identity)), seconds
