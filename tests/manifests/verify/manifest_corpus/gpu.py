"""The GPU family: Triton beside the path, open where it must be shut; GPUs that nobody offers, and shares that are traps."""

from copy import deepcopy

from manifest_corpus.world import DROP, RUNTIME, SERVICE, add, alike, broken, put

SHUT = "shared-memory,model-repository,trace,logging:closed=$(POD_UID)"
ALIVE = {"exec": {"command": ["curl", "--fail", "http://127.0.0.1:8000/v2/health/live"]}}
TRITON = {
    "name": "kserve-container", "image": "nvcr.io/nvidia/tritonserver@sha256:" + "b" * 64, "command": ["tritonserver"],
    "args": [
        "--model-repository=/mnt/models/triton", "--model-control-mode=none", "--http-address=127.0.0.1", "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1", f"--http-restricted-api={SHUT}", f"--grpc-restricted-protocol={SHUT}",
    ],
    "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
    "startupProbe": ALIVE, "readinessProbe": ALIVE, "livenessProbe": ALIVE,
    "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
}  # fmt: skip
LIMITS, REQUESTS = "spec.predictor.model.resources.limits", "spec.predictor.model.resources.requests"
LABEL = "nvidia.com/device-plugin.config"
TOLERATES = put(SERVICE, "spec.predictor.tolerations", [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}])
MIG = "flags: {migStrategy: mixed}"
TURNS = "sharing: {timeSlicing: {renameByDefault: true, failRequestsGreaterThanOne: true, resources: [{name: nvidia.com/gpu, replicas: 4}]}}"


def beside(**changed):
    """Triton as the runtime's kserve-container, the path as its transformer-container; None takes a field away."""

    def edit(world):
        containers = world.find(RUNTIME)["spec"]["containers"]
        containers[0]["name"] = "transformer-container"
        made = deepcopy(TRITON) | changed
        containers.insert(0, {key: value for key, value in made.items() if value is not None})

    return edit


def said(*args, without=()):
    """Triton's arguments, with these added and those that begin so taken away."""
    kept = [word for word in TRITON["args"] if not word.startswith(tuple(without))]
    return beside(args=[*kept, *args])


def gpu(name="nvidia.com/gpu", amount="1", requests=None, key=None):
    edits = [put(SERVICE, f"{LIMITS}.'{name}'", amount), put(SERVICE, f"{REQUESTS}.'{name}'", requests or amount)]
    return (*edits, *([put(SERVICE, f"spec.predictor.nodeSelector.'{LABEL}'", key)] if key else []))


def plugin(text, key="parts"):
    lines = "".join(f"    {line}\n" for line in ["version: v1", *text.splitlines()])
    return add("platform", f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: device-plugin-{key}, namespace: kube-system}}\ndata:\n  {key}: |\n{lines}")


BROKEN = [
    broken("serving/loopback-only", "Triton's gRPC on every address", said(without=["--grpc-address"])),
    broken("serving/loopback-only", "Triton's HTTP on every address, said last", said("--http-address=0.0.0.0")),
    broken("serving/loopback-only", "Triton's metrics on the Pod's address", said("--metrics-address=10.0.0.1", without=["--metrics-address"])),
    broken("serving/loopback-only", "a port of Triton's that a Service would find",
           beside(ports=[{"name": "triton", "containerPort": 8000, "protocol": "TCP"}])),
    broken("serving/apis-shut", "models that can be loaded while Triton runs (CVE-2025-23319 and its kin)",
           said("--model-control-mode=explicit", without=["--model-control-mode"])),
    broken("serving/apis-shut", "shared memory that can be named over HTTP",
           said(f"--http-restricted-api={SHUT.replace('shared-memory,', '')}", without=["--http-restricted-api"])),
    broken("serving/apis-shut", "nothing shut over gRPC", said(without=["--grpc-restricted-protocol"])),
    broken("serving/secret-from-pod", "a word that stands in Git",
           said(f"--http-restricted-api={SHUT.replace('$(POD_UID)', 'open-sesame')}", without=["--http-restricted-api"])),
    broken("serving/secret-from-pod", "a variable that is the same for every Pod",
           beside(env=[{"name": "POD_UID", "value": "0"}])),
    broken("kserve/loopback-probe pods/probe-port", "Triton on loopback, asked by the kubelet",
           beside(readinessProbe={"httpGet": {"path": "/v2/health/ready", "port": 8000}})),
    broken("gpu/tolerated", "a GPU behind a taint", *gpu()),
    broken("gpu/equal-request", "half as many GPUs asked for as allowed", *gpu(amount="2", requests="1"), TOLERATES),
    broken("gpu/equal-request", "half a GPU", *gpu(amount="500m"), TOLERATES),
    broken("gpu/offered", "a slice that no node is said to offer", *gpu("nvidia.com/mig-1g.10gb"), TOLERATES),
    broken("gpu/offered", "a slice, on nodes where the plugin shows none", *gpu("nvidia.com/mig-1g.10gb", key="parts"), TOLERATES,
           plugin("flags: {migStrategy: single}")),
    broken("gpu/offered", "a turn, on nodes that have another name for it", *gpu("nvidia.com/gpu.shared", key="parts"), TOLERATES,
           plugin(TURNS.replace("renameByDefault: true", "renameByDefault: false"))),
    broken("gpu/offered", "a whole GPU, on nodes that offer turns alone", *gpu(key="parts"), TOLERATES, plugin(TURNS)),
    broken("gpu/plugin-config", "a strategy that there is not", plugin("flags: {migStrategy: all}")),
    broken("gpu/plugin-config", "turns of one", plugin(TURNS.replace("replicas: 4", "replicas: 1"))),
    broken("gpu/plugin-config", "several turns for one Pod", plugin(TURNS.replace("failRequestsGreaterThanOne: true, ", ""))),
    broken("gpu/plugin-config", "a configuration that is no YAML", plugin("flags: {migStrategy: mixed")),
]  # fmt: skip
ALIKE = [
    alike("Triton beside the path, on loopback, shut", beside()),
    alike("Triton without metrics of its own", said("--allow-metrics=false", without=["--metrics-address"])),
    alike("Triton without HTTP", said("--allow-http=false", without=["--http-"])),
    alike("doors shut one by one",
          said(*(f"--http-restricted-api={name}:closed=$(POD_UID)" for name in SHUT.partition(":")[0].split(",")), without=["--http-restricted-api"])),
    alike("a whole GPU", *gpu(), TOLERATES),
    alike("a GPU by a toleration of everything", *gpu(), put(SERVICE, "spec.predictor.tolerations", [{"operator": "Exists"}])),
    alike("a GPU asked for by its limit alone", *gpu(), put(SERVICE, f"{REQUESTS}.'nvidia.com/gpu'", DROP), TOLERATES),
    alike("a slice, on nodes that are cut", *gpu("nvidia.com/mig-1g.10gb", key="parts"), TOLERATES, plugin(MIG)),
    alike("a turn, on nodes that share", *gpu("nvidia.com/gpu.shared", key="parts"), TOLERATES, plugin(TURNS)),
    alike("a whole GPU, on nodes of another configuration", *gpu(key="parts"), TOLERATES, plugin(MIG)),
]  # fmt: skip
