"""KServe's traps: what its webhook refuses, what its controller ignores, undoes or deletes; and what only looks like it."""

from manifest_corpus.world import DROP, GATE, POD, RUNTIME, SERVER, SERVICE, add, alike, broken, canary, drop, put

MODEL, CLASS = "spec.predictor.model", "serving.kserve.io/autoscalerClass"
NONE = {CLASS: "none"}
SETTINGS = "ConfigMap/inferenceservice-config"
GRPC = {"name": "grpc", "containerPort": 8081, "protocol": "TCP"}
SIDECAR = {
    "name": "reader", "image": "presage/serving@sha256:" + "a" * 64, "command": ["python", "-m", "x"], "args": ["--model_dir=/mnt/models"],
    "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
}  # fmt: skip


def model(**over):
    return {"name": "kserve-container", "modelFormat": {"name": "presage", "version": "1"}, "storageUri": "presage://incident:2@sha256:" + "c" * 64, **over}


def own(kind, group, spec, name="own"):
    return add("platform", f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}, namespace: models}}\nspec: {spec}\n")


CPU = {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}
HPA = '{scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}, minReplicas: 1, maxReplicas: 4}'

BROKEN = [
    broken("expand/understood", "canaryTrafficPercent, which Standard mode ignores (kserve#4074)", put(SERVICE, "spec.predictor.canaryTrafficPercent", 10)),
    broken("expand/understood", "a transformer beside the predictor", put(SERVICE, "spec.transformer", {"containers": [SIDECAR]})),
    broken("expand/understood", "a logger, past which a canary's traffic goes", put(SERVICE, "spec.predictor.logger", {"mode": "all"})),
    broken("expand/admitted", "KEDA without a metric", put(SERVICE, f"metadata.annotations.'{CLASS}'", "keda")),
    broken("expand/admitted kserve/canary-unscaled", "KEDA with a canary that inherits it, and its metrics are taken away",
           put(SERVICE, f"metadata.annotations.'{CLASS}'", "keda"), put(SERVICE, "spec.predictor.autoScaling", CPU), canary()),
    broken("expand/understood kserve/release", "a model from a claim, past the gate", put(SERVICE, f"{MODEL}.storageUri", "pvc://models/incident")),
    broken("expand/understood kserve/release", "a model in an image, past the gate", put(SERVICE, f"{MODEL}.storageUri", "oci://registry/model:1")),
    broken("expand/understood kserve/release", "several models, one of them from anywhere",
           put(SERVICE, "spec.predictor.storageUris", [{"uri": "s3://models/x", "mountPath": "/mnt/models/x"}])),
    broken("expand/understood", "an init container in the gate's place",
           put(SERVICE, "spec.predictor.initContainers", [{"name": "storage-initializer", "image": "example/other@sha256:" + "e" * 64}])),
    broken("expand/understood", "a cached model in the gate's place", put(SERVICE, "metadata.labels", {"internal.serving.kserve.io/localmodel": "x"})),
    broken("expand/understood", "the old form of a framework", put(SERVICE, "spec.predictor.sklearn", {"storageUri": "presage://x:1@sha256:" + "f" * 64})),
    broken("expand/understood", "containers of one's own instead of a model",
           put(SERVICE, "spec.predictor", {"containers": [{**SIDECAR, "name": "kserve-container"}]})),
    broken("expand/understood", "no runtime named", put(SERVICE, f"{MODEL}.runtime", DROP)),
    broken("expand/understood", "scraping by annotation, at Knative's ports",
           put(SERVICE, "metadata.annotations.'serving.kserve.io/enable-prometheus-scraping'", "true")),
    broken("expand/understood kserve/standard-mode", "a path template that catches the domain (kserve#5384)",
           put(SETTINGS, "data.ingress", '{"enableGatewayApi": true, "kserveIngressGateway": "edge/front", "ingressGateway": "x", "pathTemplate": "/x"}')),
    broken("expand/understood", "an Ingress instead of routes, without weights",
           put(SETTINGS, "data.ingress", '{"ingressGateway": "edge/front", "ingressDomain": "example.org"}')),
    broken("expand/admitted", "a canary with more than all of the traffic", canary(), put(SERVICE, "spec.canary[0].trafficPercent", 105)),
    broken("expand/admitted", "two canaries with more than all of the traffic together", canary(), put(SERVICE, "spec.canary[0].trafficPercent", 60),
           put(SERVICE, "spec.canary[+]", {"trafficPercent": 60, "predictor": {"name": "blue", "model": model(), "annotations": NONE}})),
    broken("expand/admitted", "a canary's model without its name", canary(model={"modelFormat": {"name": "presage"}})),
    broken("expand/admitted", "a canary with an autoscaler's fields", canary(maxReplicas=3)),
    broken("expand/admitted", "a canary that needs the mode on the object",
           put(SERVICE, "metadata.annotations.'serving.kserve.io/deploymentMode'", DROP), canary()),
    broken("expand/admitted", "PYTHONPATH in the model", put(SERVICE, f"{MODEL}.env", [{"name": "PYTHONPATH", "value": "/x"}])),
    broken("expand/admitted", "a name too long for its canary", canary(name="candidate-of-the-network-department-of-july")),
    broken("expand/admitted", "a runtime that does not speak the protocol (kserve#2755)", put(SERVICE, f"{MODEL}.protocolVersion", "v1")),
    broken("expand/admitted kserve/standard-mode", "a setting that is no JSON", put(SETTINGS, "data.ingress", "{enableGatewayApi: true}")),
    broken("expand/complete", "a runtime that is not there", put(SERVICE, f"{MODEL}.runtime", "gpu")),
    broken("expand/complete", "a storage container that is not there", put(SERVICE, "spec.predictor.storageContainerName", "presage")),
    broken("expand/complete kserve/release", "a scheme that no storage container takes (kserve#4361)",
           put(SERVICE, "spec.predictor.storageContainerName", DROP),
           put(SERVICE, f"{MODEL}.storageUri", "hf://org/model")),
    broken("expand/complete", "an auth of Vault that is not there", put("VaultStaticSecret/release-storage", "spec.vaultAuthRef", "serving")),
    broken("expand/complete", "a connection to Vault that is not there", drop("VaultConnection/models/vault")),
    broken("kserve/release", "a release by its tag alone", put(SERVICE, f"{MODEL}.storageUri", "presage://incident:7")),
    broken("kserve/release", "a local release outside of overlay local", put(SERVICE, f"{MODEL}.storageUri", "presage://incident:local")),
    broken("kserve/release", "a version that is no number", put(SERVICE, f"{MODEL}.storageUri", "presage://incident:2026.11@sha256:" + "a" * 64)),
    broken("kserve/release", "a canary by its tag alone", canary(model=model(storageUri="presage://incident:8"), annotations=NONE)),
    broken("kserve/published", "a release that is not published, for a release",
           put(SERVICE, f"{MODEL}.storageUri", "presage://incident:0@unresolved"), release=True),
    broken("kserve/one-storage-container", "two storage containers for one scheme", add("platform", """
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata: {name: other}
spec: {supportedUriFormats: [{prefix: "presage://"}], container: {name: storage-initializer, image: "example/x@sha256:aa"}}
""")),
    broken("kserve/gate-in-memory", "a release opened onto a disk", put(RUNTIME, "spec.volumes[0].emptyDir", {"sizeLimit": "512Mi"})),
    broken("kserve/gate-in-memory", "memory without a limit", put(RUNTIME, "spec.volumes[0].emptyDir", {"medium": "Memory"})),
    broken("kserve/canary-ignored", "a canary's own timeout", canary(timeout=5, annotations=NONE)),
    broken("kserve/canary-ignored", "a canary's own strategy", canary(deploymentStrategy={"type": "Recreate"}, annotations=NONE)),
    broken("kserve/canary-unscaled", "a canary with an autoscaler of its own", put(SERVICE, f"metadata.annotations.'{CLASS}'", "hpa"), canary()),
    broken("kserve/python-path", "PYTHONPATH in a canary, where the webhook does not look",
           canary(model=model(env=[{"name": "PYTHONPATH", "value": "/x"}]), annotations=NONE)),
    broken("kserve/python-path", "a library loaded before all others", put(SERVICE, f"{MODEL}.env", [{"name": "LD_PRELOAD", "value": "/x.so"}])),
    broken("kserve/names-stay", "a DestinationRule for a name that a promotion takes away", put(SERVICE, "spec.predictor.name", "blue"),
           put("DestinationRule/incident", "spec.host", "incident-blue-predictor")),
    broken("kserve/selector-survives", "a budget that a promotion empties",
           put("PodDisruptionBudget/incident", "spec.selector.matchLabels", {"app": "isvc.incident-predictor"})),
    broken("kserve/own-label", "a Service of ours that KServe deletes", add("platform", """
apiVersion: v1
kind: Service
metadata: {name: own, namespace: models, labels: {serving.kserve.io/inferenceservice: incident, component: predictor}}
spec: {selector: {component: predictor}, ports: [{name: http, port: 80, targetPort: 8080}]}
""")),
    broken("kserve/first-port", "a model's port before the runtime's", put(SERVICE, f"{MODEL}.ports", [GRPC])),
    broken("kserve/first-port", "metrics first", put(RUNTIME, f"{SERVER}.ports", [{"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
                                                                             {"name": "http", "containerPort": 8080, "protocol": "TCP"}])),
    broken("kserve/ports-named pods/probe-port observability/monitor-port", "two ports without names",
           put(RUNTIME, f"{SERVER}.ports", [{"containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9090, "protocol": "TCP"}])),
    broken("kserve/grpc-named", "a gRPC port that does not say so", put(RUNTIME, f"{SERVER}.ports[+]", {**GRPC, "name": "infer"}),
           put(SERVICE, f"{MODEL}.args[+]", "--grpc_port=8081")),
    broken("kserve/loopback-probe", "a server on 127.0.0.1 under KServe's own probe", put(RUNTIME, f"{SERVER}.args[1]", "--host=127.0.0.1"),
           put(RUNTIME, f"{SERVER}.readinessProbe", DROP), put(RUNTIME, f"{SERVER}.livenessProbe", {"exec": {"command": ["python", "-c", "1"]}})),
    broken("kserve/model-mounted", "a further container that reads the model without it", put(RUNTIME, "spec.containers[+]", SIDECAR)),
    broken("kserve/steady-metadata", "a commit's id on the service", put(SERVICE, "metadata.annotations.'presage.io/commit'", "0123abc")),
    broken("kserve/steady-metadata", "a version label of the runtime", put(RUNTIME, "spec.labels", {"app.kubernetes.io/version": "1.2.3"})),
    broken("kserve/follows-runtime", "auto-update off", put(SERVICE, "metadata.annotations.'serving.kserve.io/disable-auto-update'", "true")),
    broken("kserve/own-autoscaler", "an autoscaler beside class none",
           own("HorizontalPodAutoscaler", "autoscaling/v2", HPA.replace("NAME", "incident-predictor"))),
    broken("kserve/standard-mode", "Serverless by default, as shipped", put(SETTINGS, "data.deploy", '{"defaultDeploymentMode": "Serverless"}')),
    broken("kserve/protocol-written expand/admitted", "a Triton model without its protocol", put(SERVICE, f"{MODEL}.modelFormat", {"name": "triton"}),
           put(SERVICE, f"{MODEL}.protocolVersion", DROP)),
    broken("vault/no-restart", "restarts that KServe undoes", put("VaultStaticSecret/release-storage", "spec.rolloutRestartTargets",
           [{"kind": "Deployment", "name": "incident-predictor"}])),
]  # fmt: skip
ALIKE = [
    alike("a canary as it should be", canary(annotations=NONE)),
    alike("a canary that inherits class none", canary()),
    alike("two canaries within all of the traffic", canary(), put(SERVICE, "spec.canary[0].trafficPercent", 50),
          put(SERVICE, "spec.canary[+]", {"trafficPercent": 50, "predictor": {"name": "blue", "model": model()}})),
    alike("a shadow: cluster-local, without routes", put(SERVICE, "metadata.labels", {"networking.kserve.io/visibility": "cluster-local"})),
    alike("the stable's own timeout and strategy",
          put(SERVICE, "spec.predictor.timeout", 30), put(SERVICE, "spec.predictor.deploymentStrategy", {"type": "Recreate"})),
    alike("a transformer in the predictor's Pod",
          put(RUNTIME, "spec.containers[+]", {**SIDECAR, "name": "transformer-container", "ports": [{**GRPC, "name": "http", "containerPort": 8090}]}),
          put("AuthorizationPolicy/predictors", "spec.rules[0].to[0].operation.ports", ["8090"])),
    alike("a further container that mounts the model", put(RUNTIME, "spec.containers[+]", {**SIDECAR, "volumeMounts": [
        {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}]})),
    alike("a variable that only ends in PATH", put(SERVICE, f"{MODEL}.env", [{"name": "MODEL_PATH", "value": "/mnt/models"}])),
    alike("a gRPC port that says so, after HTTP", put(RUNTIME, f"{SERVER}.ports[+]", GRPC), put(SERVICE, f"{MODEL}.args[+]", "--grpc_port=8081")),
    alike("a server on 127.0.0.1 with exec probes", put(RUNTIME, f"{SERVER}.args[1]", "--host=127.0.0.1"),
          put(RUNTIME, f"{SERVER}.readinessProbe", {"exec": {"command": ["python", "-c", "1"]}}),
          put(RUNTIME, f"{SERVER}.livenessProbe", {"exec": {"command": ["python", "-c", "1"]}})),
    alike("a release of another model, of a version of many digits", put(SERVICE, f"{MODEL}.storageUri", "presage://disk-full:20261103@sha256:" + "a" * 64)),
    alike("a storage container for another scheme", add("platform", """
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata: {name: default}
spec:
  supportedUriFormats: [{prefix: "s3://"}, {regex: "https?://(.+)/(.+)"}]
  container: {name: storage-initializer, image: "kserve/storage-initializer:v0.21.0"}
""")),
    alike("a second storage container, disabled", add("platform", """
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterStorageContainer
metadata: {name: old}
disabled: true
spec: {supportedUriFormats: [{prefix: "presage://"}], container: {name: storage-initializer, image: "kserve/storage-initializer:v0.21.0"}}
""")),
    alike("an autoscaler of a Deployment that KServe did not make", put(POD, "spec.replicas", DROP),
          own("HorizontalPodAutoscaler", "autoscaling/v2", HPA.replace("NAME", "telemetry"))),
    alike("a restart of a Deployment that KServe did not make",
          put("VaultStaticSecret/release-storage", "spec.rolloutRestartTargets", [{"kind": "Deployment", "name": "telemetry"}])),
    alike("labels that tell part and team", put(SERVICE, "metadata.labels", {"app.kubernetes.io/part-of": "presage", "team": "network"})),
    alike("one of KServe's labels alone", put(POD, "metadata.labels.'serving.kserve.io/inferenceservice'", "incident")),
    alike("auto-update said to be on", put(SERVICE, "metadata.annotations.'serving.kserve.io/disable-auto-update'", "false")),
    alike("the token's account at another namespace's auth", put("VaultAuth/front", "spec.allowedNamespaces", ["models"]),
          put("VaultStaticSecret/release-storage", "spec.vaultAuthRef", "edge/front")),
    alike("KEDA with a canary of class none", put(SERVICE, f"metadata.annotations.'{CLASS}'", "keda"), put(SERVICE, "spec.predictor.autoScaling", CPU),
          canary(annotations=NONE)),
    alike("class hpa without a canary", put(SERVICE, f"metadata.annotations.'{CLASS}'", "hpa"), put(SERVICE, "spec.predictor.maxReplicas", 4)),
    alike("the gate's image from the cluster's own settings", put(GATE, "spec.container.image", DROP), put(SETTINGS, "data.storageInitializer",
          '{"image": "presage/serving@sha256:' + "a" * 64 + '", "cpuRequest": "1", "memoryRequest": "1Gi", "cpuLimit": "1", "memoryLimit": "1Gi"}')),
]  # fmt: skip
