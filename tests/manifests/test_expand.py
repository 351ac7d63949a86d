"""What KServe's controller makes of an InferenceService, fact by fact (read from its source, 0.21, Standard mode)."""

import pytest
from expand_objects import CLASS, DROP, RESTRICTED, SIZES, Case, canary

from presage.manifests.expand.refusals import MissingReference, NotAdmitted, NotExpanded
from presage.manifests.fields import FieldError
from presage.manifests.objects import dump_objects, parse_objects

GRPC = {"name": "grpc", "containerPort": 8081}
LOOSE = {"name": "sidecar", "image": "presage/serving:1", "resources": SIZES, "securityContext": RESTRICTED}
PATH = {**LOOSE, "name": "transformer-container", "ports": [{"containerPort": 8090}]}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
AUTOSCALED = {f"isvc|metadata|annotations|{CLASS}": "hpa"}


def fact(text, changes, look, expected):
    return pytest.param(changes, look, expected, id=text)


OBJECTS = [
    fact("Deployment, Service and routes are named {isvc}-predictor; the entry route {isvc}", {}, Case.names,
         ["Deployment incident-predictor", "Service incident-predictor", "HTTPRoute incident-predictor", "HTTPRoute incident"]),
    fact("all three are {isvc}-{predictor.name}-predictor once it is set; the routes keep their names", {"predictor|name": "blue"}, Case.names,
         ["Deployment incident-blue-predictor", "Service incident-blue-predictor", "HTTPRoute incident-predictor", "HTTPRoute incident"]),
    fact("the autoscaler has the predictor's name", AUTOSCALED, lambda case: case.names()[2], "HorizontalPodAutoscaler incident-predictor"),
    fact("class hpa is the default", {f"isvc|metadata|annotations|{CLASS}": DROP}, lambda case: case.names()[2], "HorizontalPodAutoscaler incident-predictor"),
    fact("class external makes none", {f"isvc|metadata|annotations|{CLASS}": "external"}, lambda case: len(case.names()), 4),
    fact("stopped: nothing is made of stable and canary",
         {"isvc|metadata|annotations|serving.kserve.io/stop": "true", "isvc|spec|canary": [canary()]}, Case.names, []),
    fact("cluster-local: no routes", {"isvc|metadata|labels|networking.kserve.io/visibility": "cluster-local"}, lambda case: len(case.names()), 2),
    fact("disableIngressCreation: no routes", {"settings|ingress|disableIngressCreation": True}, lambda case: len(case.names()), 2),
    fact("labels: runtime under metadata under component under KServe's own",
         {"runtime|spec|labels": {"a": "runtime", "b": "runtime", "c": "runtime"}, "isvc|metadata|labels": {"b": "service", "c": "service"},
          "predictor|labels": {"c": "component"}},
         lambda case: case.deployment()["spec"]["template"]["metadata"]["labels"],
         {"a": "runtime", "b": "service", "c": "component", "serving.kserve.io/inferenceservice": "incident", "component": "predictor",
          "app": "isvc.incident-predictor"}),
    fact("a label app or component of the user's own is lost", {"isvc|metadata|labels": {"app": "mine", "component": "mine"}},
         lambda case: sorted(case.deployment()["metadata"]["labels"].values()), ["incident", "isvc.incident-predictor", "predictor"]),
    fact("annotations likewise, all into the Pod's template",
         {"runtime|spec|annotations": {"a": "runtime", "b": "runtime"}, "isvc|metadata|annotations|b": "service", "predictor|annotations": {"c": "component"}},
         lambda case: {key: case.deployment()["spec"]["template"]["metadata"]["annotations"][key] for key in "abc"},
         {"a": "runtime", "b": "service", "c": "component"}),
    fact("last-applied-configuration and modelFormat are left out",
         {"isvc|metadata|annotations|kubectl.kubernetes.io/last-applied-configuration": "{}", "isvc|metadata|annotations|modelFormat": "presage"},
         lambda case: [key for key in case.deployment()["metadata"]["annotations"] if key.startswith(("kubectl", "modelFormat"))], []),
    fact("Deployment and Service select on app alone", {},
         lambda case: (case.deployment()["spec"]["selector"]["matchLabels"], case.one("Service")["spec"]["selector"]),
         ({"app": "isvc.incident-predictor"}, {"app": "isvc.incident-predictor"})),
    fact("the strategy is deploymentStrategy", {"predictor|deploymentStrategy": {"type": "Recreate"}},
         lambda case: case.deployment()["spec"]["strategy"], {"type": "Recreate"}),
    fact("else the ConfigMap's", {"settings|deploy|deploymentRolloutStrategy": {"defaultRollout": {"maxSurge": "1", "maxUnavailable": "0"}}},
         lambda case: case.deployment()["spec"]["strategy"]["rollingUpdate"], {"maxSurge": "1", "maxUnavailable": "0"}),
    fact("else 25 % and 25 %", {}, lambda case: case.deployment()["spec"]["strategy"]["rollingUpdate"], {"maxSurge": "25%", "maxUnavailable": "25%"}),
    fact("replicas are minReplicas for class none", {}, lambda case: case.deployment()["spec"]["replicas"], 2),
    fact("and are not set for another class", AUTOSCALED, lambda case: "replicas" in case.deployment()["spec"], False),
    fact("class none keeps 0", {"predictor|minReplicas": 0}, lambda case: case.deployment()["spec"]["replicas"], 0),
]  # fmt: skip
SERVICES = [
    fact("port 80 goes to the first container port", {}, Case.ports, [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]),
    fact("no ports declared: 80 to 8080, named as the Service", {"main|ports": DROP}, Case.ports,
         [{"name": "incident-predictor", "port": 80, "targetPort": 8080, "protocol": "TCP"}]),
    fact("further ports keep their number; grpc in the name gets h2c", {"main|ports|+": GRPC}, lambda case: case.ports()[1],
         {"name": "grpc", "port": 8081, "targetPort": 8081, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}),
    fact("a port that the model adds comes first", {"model|ports": [{"name": "metrics", "containerPort": 9090}]},
         lambda case: case.ports()[0]["targetPort"], 9090),
    fact("a transformer-container takes the Service's port", {"runtime|spec|containers|+": PATH}, lambda case: case.ports()[0]["targetPort"], 8090),
    fact("headless where the ConfigMap says so", {"settings|service": {"serviceClusterIPNone": True}},
         lambda case: case.one("Service")["spec"]["clusterIP"], "None"),
]  # fmt: skip
PODS = [
    fact("args are appended, the runtime's first", {}, lambda case: case.container()["args"], ["--model_name=incident", "--region=eu"]),
    fact("env merges by name, resources by key",
         {"model|env": [{"name": "THREADS", "value": "2"}], "model|resources": {"limits": {"cpu": "2"}}},
         lambda case: (case.container()["env"][0]["value"], case.container()["resources"]["limits"]), ("2", {"cpu": "2", "memory": "1Gi"})),
    fact("a variable that only the model has stands before the runtime's", {"model|env": [{"name": "OWN", "value": "$(THREADS)"}]},
         lambda case: [one["name"] for one in case.container()["env"]], ["OWN", "THREADS", "INFERENCE_SERVICE_NAME"]),
    fact("mounts merge by path",
         {"main|volumeMounts": [{"name": "a", "mountPath": "/data"}], "model|volumeMounts": [{"name": "scratch", "mountPath": "/data"}]},
         lambda case: case.container()["volumeMounts"][0], {"name": "scratch", "mountPath": "/data"}),
    fact("order: kserve-container, transformer-container, the runtime's others, the predictor's others",
         {"runtime|spec|containers|+": LOOSE, "predictor|containers": [{**LOOSE, "name": "own"}, PATH]},
         lambda case: [one["name"] for one in case.pod()["containers"]], ["kserve-container", "transformer-container", "sidecar", "own"]),
    fact("predictor.containers may override transformer-container by name",
         {"runtime|spec|containers|+": PATH, "predictor|containers": [{**PATH, "image": "x:2"}]},
         lambda case: case.container("transformer-container")["image"], "x:2"),
    fact("placeholders are the service's metadata", {"main|args": ["{{.Namespace}}/{{ .Annotations.zone }}"], "isvc|metadata|annotations|zone": "b"},
         lambda case: case.container()["args"][0], "models/b"),
    fact("a further container's are left as they are", {"runtime|spec|containers|+": {**LOOSE, "args": ["{{.Name}}"]}},
         lambda case: case.container("sidecar")["args"], ["{{.Name}}"]),
    fact("a runtime gives volumes, node selector and tolerations; the predictor's volumes come first",
         {"runtime|spec|nodeSelector": {"disk": "fast"}, "predictor|volumes": [{"name": "own", "emptyDir": {}}]},
         lambda case: (case.pod()["nodeSelector"], [one["name"] for one in case.pod()["volumes"]]),
         ({"disk": "fast"}, ["own", "scratch", "kserve-provision-location"])),
    fact("spread, grace period and security context are the predictor's",
         {"predictor|topologySpreadConstraints": [SPREAD], "predictor|terminationGracePeriodSeconds": 60},
         lambda case: (case.pod()["topologySpreadConstraints"], case.pod()["terminationGracePeriodSeconds"], case.pod()["securityContext"]),
         ([SPREAD], 60, {})),
    fact("grace is 30 s unless set", {}, lambda case: case.pod()["terminationGracePeriodSeconds"], 30),
    fact("a TCP readiness probe on the first port where there is none", {}, lambda case: case.container()["readinessProbe"]["tcpSocket"], {"port": 8080}),
    fact("on 8080 where no port is declared", {"main|ports": DROP}, lambda case: case.container()["readinessProbe"]["tcpSocket"], {"port": 8080}),
    fact("none for a further container", {"runtime|spec|containers|+": LOOSE}, lambda case: "readinessProbe" in case.container("sidecar"), False),
    fact("every container gets INFERENCE_SERVICE_NAME", {"runtime|spec|containers|+": LOOSE}, lambda case: case.container("sidecar")["env"],
         [{"name": "INFERENCE_SERVICE_NAME", "value": "incident"}]),
    fact("a runtimeVersion replaces the tag", {"model|runtimeVersion": "2"}, lambda case: case.container()["image"], "presage/serving:2"),
    fact("but not where the image is named by digest", {"model|runtimeVersion": "2", "main|image": "presage/serving@sha256:" + "c" * 64},
         lambda case: case.container()["image"], "presage/serving@sha256:" + "c" * 64),
    fact("the token is not mounted where the ConfigMap says so", {}, lambda case: case.pod()["automountServiceAccountToken"], False),
    fact("unless the predictor does", {"predictor|automountServiceAccountToken": True}, lambda case: case.pod()["automountServiceAccountToken"], True),
    fact("it is mounted by default", {"settings|security": DROP}, lambda case: "automountServiceAccountToken" in case.pod(), False),
    fact("a ClusterServingRuntime where the namespace has none", {"runtime|kind": "ClusterServingRuntime", "runtime|metadata|namespace": DROP},
         lambda case: len(case.names()), 4),
]  # fmt: skip
STORAGE = [
    fact("args are the URI and /mnt/models", {}, lambda case: case.container("storage-initializer")["args"],
         ["presage://incident:1@sha256:" + "a" * 64, "/mnt/models"]),
    fact("our container is merged over KServe's: mounts by path, ours first", {},
         lambda case: [one["mountPath"] for one in case.container("storage-initializer")["volumeMounts"]], ["/tmp", "/mnt/models"]),
    fact("image and resources come from the ConfigMap where ours has none",
         {"storage|spec|container|image": DROP, "storage|spec|container|resources": DROP,
          "settings|storageInitializer": {"image": "kserve/si:1", "cpuRequest": "100m", "memoryRequest": "100Mi", "cpuLimit": "1", "memoryLimit": "1Gi"}},
         lambda case: (case.container("storage-initializer")["image"], case.container("storage-initializer")["resources"]["limits"]["memory"]),
         ("kserve/si:1", "1Gi")),
    fact("its environment gets KServe's three variables for downloads, after ours", {},
         lambda case: [one["name"] for one in case.container("storage-initializer")["env"]][:2], ["KEYS", "HF_HUB_ENABLE_HF_TRANSFER"]),
    fact("it stands after the predictor's own init containers", {"predictor|initContainers": [{**LOOSE, "name": "wait"}]},
         lambda case: [one["name"] for one in case.pod()["initContainers"]], ["wait", "storage-initializer"]),
    fact("the model is an emptyDir, read-only for kserve-container", {},
         lambda case: (case.pod()["volumes"][-1], case.container()["volumeMounts"]),
         ({"name": "kserve-provision-location", "emptyDir": {}}, [{"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}])),
    fact("and for transformer-container", {"runtime|spec|containers|+": PATH},
         lambda case: case.container("transformer-container")["volumeMounts"][0]["readOnly"], True),
    fact("storage.kserve.io/readonly: false opens it", {"isvc|metadata|annotations|storage.kserve.io/readonly": "false"},
         lambda case: "readOnly" in case.container()["volumeMounts"][0], False),
    fact("a declared volume of that name is kept", {"runtime|spec|volumes|+": {"name": "kserve-provision-location", "emptyDir": {"medium": "Memory"}}},
         lambda case: [one["emptyDir"] for one in case.pod()["volumes"]], [{}, {"medium": "Memory"}]),
    fact("a further container gets no model", {"runtime|spec|containers|+": LOOSE}, lambda case: "volumeMounts" in case.container("sidecar"), False),
    fact("the uid annotation decides who runs it", {"isvc|metadata|annotations|serving.kserve.io/storage-initializer-uid": "1337"},
         lambda case: case.container("storage-initializer")["securityContext"]["runAsUser"], 1337),
    fact("without a name the first that takes the URI, by its unanchored regex",
         {"predictor|storageContainerName": DROP, "storage|spec|supportedUriFormats": [{"regex": "incident:\\d"}]}, lambda case: len(case.names()), 4),
]  # fmt: skip
ROUTES = [
    fact("hosts are {isvc}-{ns}.{domain} and {isvc}-predictor-{ns}.{domain}", {},
         lambda case: (case.route()["spec"]["hostnames"], case.route("incident-predictor")["spec"]["hostnames"]),
         (["incident-models.example.org"], ["incident-predictor-models.example.org"])),
    fact("domainTemplate may use labels",
         {"settings|ingress|domainTemplate": "{{.Name}}.{{.Labels.team}}.{{.IngressDomain}}", "isvc|metadata|labels": {"team": "net"}},
         lambda case: case.route()["spec"]["hostnames"], ["incident.net.example.org"]),
    fact("additionalIngressDomains are hosts of the entry alone", {"settings|ingress|additionalIngressDomains": ["b.org", "b.org"]},
         lambda case: (case.route()["spec"]["hostnames"], len(case.route("incident-predictor")["spec"]["hostnames"])),
         (["incident-models.example.org", "incident-models.b.org"], 1)),
    fact("parentRefs name kserveIngressGateway and no listener", {}, lambda case: case.route()["spec"]["parentRefs"],
         [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "edge", "name": "front"}]),
    fact("routes carry the service's own labels and annotations only", {"runtime|spec|labels": {"a": "b"}, "isvc|metadata|labels": {"team": "net"}},
         lambda case: (case.route()["metadata"]["labels"], sorted(case.route()["metadata"]["annotations"])),
         ({"team": "net"}, [CLASS, "serving.kserve.io/deploymentMode"])),
    fact("one rule for any path", {}, lambda case: [rule["matches"] for rule in case.route()["spec"]["rules"]],
         [[{"path": {"type": "RegularExpression", "value": "^/.*$"}}]]),
    fact("with a gRPC port its rule stands first, by path and content type", {"main|ports|+": GRPC},
         lambda case: [(rule["matches"][0]["path"]["value"], rule["backendRefs"][0]["port"], len(rule["matches"][0]))
                       for rule in case.route()["spec"]["rules"]],
         [(r"^/inference\.GRPCInferenceService/.*$", 8081, 2), ("^/.*$", 80, 1)]),
    fact("a gRPC port alone gets no rule of its own", {"main|ports": [GRPC]},
         lambda case: [rule["backendRefs"][0]["port"] for rule in case.route()["spec"]["rules"]], [80]),
    fact("a first port that is gRPC sends the rest to the next", {"main|ports": [GRPC, {"name": "metrics", "containerPort": 9090}]},
         lambda case: [rule["backendRefs"][0]["port"] for rule in case.route()["spec"]["rules"]], [80, 9090]),
    fact("the timeout is 60 s", {}, lambda case: case.route()["spec"]["rules"][0]["timeouts"], {"request": "60s"}),
    fact("or timeout", {"predictor|timeout": 5}, lambda case: case.route()["spec"]["rules"][0]["timeouts"], {"request": "5s"}),
    fact("or none", {"settings|ingress|disableHTTPRouteTimeout": True}, lambda case: "timeouts" in case.route()["spec"]["rules"][0], False),
    fact("headers name the service", {}, lambda case: case.route()["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["set"],
         [{"name": "KServe-Isvc-Name", "value": "incident"}, {"name": "KServe-Isvc-Namespace", "value": "models"}]),
    fact("without a canary no weight", {}, Case.backends, [("incident-predictor", 80, None)]),
]  # fmt: skip
SCALING = [
    fact("max is min if unset, cpu at 80 %", AUTOSCALED, lambda case: case.one("HorizontalPodAutoscaler")["spec"],
         {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "incident-predictor"}, "minReplicas": 2, "maxReplicas": 2,
          "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}], "behavior": {}}),
    fact("minReplicas 0 makes 1", {**AUTOSCALED, "predictor|minReplicas": 0}, lambda case: case.one("HorizontalPodAutoscaler")["spec"]["minReplicas"], 1),
    fact("scaleMetric memory wants a target to be a metric", {**AUTOSCALED, "predictor|scaleMetric": "memory"},
         lambda case: "metrics" in case.one("HorizontalPodAutoscaler")["spec"], False),
    fact("autoScaling.metrics of cpu and memory; behavior is ignored",
         {**AUTOSCALED, "predictor|autoScaling": {"behavior": {"scaleUp": {}}, "metrics": [
             {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
             {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}]}},
         lambda case: ([one["resource"]["target"] for one in case.one("HorizontalPodAutoscaler")["spec"]["metrics"]],
                       case.one("HorizontalPodAutoscaler")["spec"]["behavior"]),
         ([{"type": "Utilization", "averageUtilization": 70}, {"type": "AverageValue", "averageValue": "1Gi"}], {})),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "look", "expected"), [*OBJECTS, *SERVICES, *PODS, *STORAGE, *ROUTES, *SCALING])
def test_what_kserve_makes(changes, look, expected):
    assert look(Case(changes)) == expected


def refused(text, changes, kind, says):
    return pytest.param(changes, kind, says, id=text)


REFUSALS = [
    refused("a name with a capital", {"isvc|metadata|name": "Incident"}, NotAdmitted, "lower-case"),
    refused("a name too long for the label app", {"isvc|metadata|name": "i" * 49}, NotAdmitted, "64 characters"),
    refused("a name and namespace too long for a host", {"isvc|metadata|name": "i" * 48}, NotAdmitted, "no DNS name"),
    refused("an unknown autoscaler class", {f"isvc|metadata|annotations|{CLASS}": "kpa"}, NotAdmitted, "kpa"),
    refused("Knative's mode", {"isvc|metadata|annotations|serving.kserve.io/deploymentMode": "Knative"}, NotExpanded, "Standard"),
    refused("Knative's mode by default", {"isvc|metadata|annotations|serving.kserve.io/deploymentMode": DROP, "settings|deploy": DROP}, NotExpanded, "Knative"),
    refused("PYTHONPATH", {"model|env": [{"name": "PYTHONPATH", "value": "/x"}]}, NotAdmitted, "PYTHONPATH"),
    refused("a name in the stable model", {"model|name": "kserve-container"}, NotAdmitted, r"model\.name"),
    refused("STORAGE_URI in a transformer-container", {"predictor|containers": [{**PATH, "env": [{"name": "STORAGE_URI", "value": "x"}]}]},
            NotAdmitted, "STORAGE_URI"),
    refused("model and a custom kserve-container", {"predictor|containers": [{**LOOSE, "name": "kserve-container"}]}, NotAdmitted, "two implementations"),
    refused("the custom form", {"predictor|model": DROP, "predictor|containers": [LOOSE]}, NotExpanded, "admission policy"),
    refused("an old framework form", {"predictor|triton": {"storageUri": "presage://x"}}, NotExpanded, "old form"),
    refused("minReplicas over maxReplicas", {"predictor|maxReplicas": 1}, NotAdmitted, "maxReplicas"),
    refused("minReplicas under 0", {"predictor|minReplicas": -1}, NotAdmitted, "minReplicas"),
    refused("class hpa with Knative's metric", {**AUTOSCALED, "predictor|scaleMetric": "rps"}, NotAdmitted, "rps"),
    refused("class hpa with another metric type", {**AUTOSCALED, "predictor|autoScaling": {"metrics": [{"type": "External"}]}}, NotAdmitted, "External"),
    refused("canaryTrafficPercent", {"predictor|canaryTrafficPercent": 10}, NotExpanded, "ignores it"),
    refused("a logger", {"predictor|logger": {"mode": "all"}}, NotExpanded, "agent"),
    refused("a transformer beside the predictor", {"isvc|spec|transformer": {"containers": []}}, NotExpanded, "transformer-container"),
    refused("several URIs", {"predictor|storageUris": [{"uri": "presage://x"}]}, NotExpanded, "storageUris"),
    refused("storage.path", {"model|storage": {"path": "x"}}, NotExpanded, "default image"),
    refused("no runtime named", {"model|runtime": DROP}, NotExpanded, "newest"),
    refused("a runtime that is not there", {"model|runtime": "gpu"}, MissingReference, "'gpu'"),
    refused("a runtime of another namespace", {"runtime|metadata|namespace": "other"}, MissingReference, "'cpu'"),
    refused("a disabled runtime", {"runtime|spec|disabled": True}, NotAdmitted, "disabled"),
    refused("a format the runtime does not know", {"model|modelFormat": {"name": "onnx"}}, NotAdmitted, "onnx"),
    refused("a version the runtime does not know", {"model|modelFormat": {"name": "presage", "version": "2"}}, NotAdmitted, "presage 2"),
    refused("a protocol the runtime does not speak", {"model|protocolVersion": "v1"}, NotAdmitted, "protocolVersion"),
    refused("a runtime without kserve-container", {"main|name": "server"}, NotAdmitted, "kserve-container"),
    refused("the same container in runtime and predictor", {"runtime|spec|containers|+": LOOSE, "predictor|containers": [LOOSE]}, NotAdmitted, "sidecar"),
    refused("hostIPC of a runtime, which KServe does not take", {"runtime|spec|hostIPC": True}, NotAdmitted, "hostIPC"),
    refused("a runtime for which KServe adds more", {"runtime|metadata|annotations": {"serving.kserve.io/server-type": "mlserver"}}, NotExpanded, "mlserver"),
    refused("another template", {"main|args": ["{{ range .Labels }}"]}, FieldError, "own template"),
    refused("a placeholder without a value", {"main|args": ["{{.Annotations.zone}}"]}, FieldError, "zone"),
    refused("no ConfigMap of KServe", {"settings": None}, MissingReference, "inferenceservice-config"),
    refused("an Ingress instead of routes", {"settings|ingress|enableGatewayApi": False}, NotExpanded, "Ingress"),
    refused("pathTemplate", {"settings|ingress|pathTemplate": "/{{.Name}}"}, FieldError, "whole domain"),
    refused("a gateway without its namespace", {"settings|ingress|kserveIngressGateway": "front"}, NotAdmitted, "<namespace>/<name>"),
    refused("an empty ingressGateway", {"settings|ingress|ingressGateway": ""}, NotAdmitted, "ingressGateway"),
    refused("a setting that is no JSON", {"settings|ingress": "{"}, NotAdmitted, "no JSON"),
    refused("a key of the ConfigMap that KServe does not read", {"settings|ingres": {}}, FieldError, "ingres"),
    refused("a setting that is not known", {"settings|ingress|path": "x"}, FieldError, "path"),
    refused("an internal label", {"isvc|metadata|labels": {"internal.serving.kserve.io/localmodel": "x"}}, NotExpanded, "internal keys"),
    refused("an internal annotation of the component", {"predictor|annotations": {"internal.serving.kserve.io/logger": "true"}}, NotExpanded, "internal keys"),
    refused("an internal label of the runtime", {"runtime|spec|labels": {"internal.serving.kserve.io/localmodel": "x"}}, NotExpanded, "internal keys"),
    refused("a key of KServe's that is not known", {"isvc|metadata|annotations|serving.kserve.io/exp-dra-device-class": "x"}, NotExpanded, "exp-dra"),
    refused("Prometheus annotations", {"isvc|metadata|annotations|serving.kserve.io/enable-prometheus-scraping": "true"}, NotExpanded, "PodMonitor"),
    refused("an init container of the storage container's name", {"predictor|initContainers": [{**LOOSE, "name": "storage-initializer"}]},
            NotExpanded, "no storage container"),
    *(refused(f"a way past the gate: {uri}", {"model|storageUri": uri}, NotExpanded, "past our storage container")
      for uri in ("pvc://models/incident", "oci://models/incident", "oci+native://models/x", "file:///models", "models/incident")),
    refused("a storage container that is not there", {"predictor|storageContainerName": "other"}, MissingReference, "'other'"),
    refused("a named one that does not take the URI: no fallback", {"model|storageUri": "s3://models/x"}, NotAdmitted, "does not take"),
    refused("a disabled storage container", {"storage|disabled": True}, NotAdmitted, "disabled"),
    refused("a storage container for download jobs", {"storage|spec|workloadType": "localModelDownloadJob"}, NotAdmitted, "no init container"),
    refused("none that takes the URI", {"predictor|storageContainerName": DROP, "model|storageUri": "s3://x"}, MissingReference, "none"),
    refused("a storage container under another name", {"storage|spec|container|name": "gate"}, NotAdmitted, "storage-initializer"),
    refused("a storage container with args", {"storage|spec|container|args": ["x"]}, NotAdmitted, "replace the URI"),
    refused("a storage container without resources", {"storage|spec|container|resources": DROP}, FieldError, "lacks cpu, memory"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "kind", "says"), REFUSALS)
def test_what_is_refused_says_why(changes, kind, says):
    with pytest.raises(kind, match=says):
        Case(changes).expanded()


@pytest.mark.parametrize("path", [
    "isvc|spec|flavour", "predictor|flavour", "model|flavour", "model|modelFormat|flavour", "runtime|spec|initContainers", "main|imagePullSecret",
    "runtime|spec|supportedModelFormats|0|flavour", "storage|spec|volumes", "storage|spec|container|volume", "isvc|flavour",
])  # fmt: skip
def test_an_unknown_field_is_an_error_that_names_it(path):
    with pytest.raises(FieldError, match=path.rpartition("|")[2]):
        Case({path: "x"}).expanded()


@pytest.mark.parametrize("changes", [
    {"model|env": ["text"]}, {"model|env": {"a": 1}}, {"model|args": "--x"}, {"model|args": [1]}, {"model|resources": [1]}, {"model|resources": {"limits": 1}},
    {"main|ports": [{"containerPort": 8080, "name": []}]}, {"main|ports": 8080}, {"predictor|volumes": [{"emptyDir": {}}]}, {"predictor|initContainers": [5]},
    {"predictor|containers": ["text"]}, {"predictor|labels": []}, {"isvc|metadata|annotations": [1]}, {"isvc|metadata|labels": {"a": 1}}, {"isvc|spec": []},
    {"predictor|minReplicas": "2"}, {"predictor|minReplicas": True}, {"isvc|spec|canary": {}}, {"isvc|spec|canary": [5]}, {"settings|ingress": "[]"},
    {"runtime|spec|containers": {}}, {"storage|spec|supportedUriFormats": ["presage://"]}, {"storage|spec|supportedUriFormats": [{"regex": "("}]},
])  # fmt: skip
def test_a_value_of_another_shape_is_an_error_never_a_fault(changes):
    with pytest.raises(FieldError):
        Case(changes).expanded()


def test_two_storage_containers_for_one_uri_are_an_error():
    case = Case({"predictor|storageContainerName": DROP})
    case.objects.append({**case.storage, "metadata": {"name": "second"}})
    with pytest.raises(NotAdmitted, match=r"gate, second.*exactly one"):
        case.expanded()


def test_an_account_whose_secrets_kserve_would_hand_over_is_an_error():
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "incident", "namespace": "models"}, "secrets": [{"name": "s3"}]}
    with pytest.raises(NotExpanded, match="secrets"):
        Case(further=[account]).expanded()


def test_a_kind_without_a_rule_is_an_error():
    graph = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "InferenceGraph", "metadata": {"name": "g"}}
    with pytest.raises(NotExpanded, match="InferenceGraph g"):
        Case(further=[graph]).expanded()


def test_what_is_printed_reads_back_equal_and_is_the_same_each_time():
    case = Case({"main|ports|+": GRPC})
    printed = dump_objects(case.expanded())
    assert parse_objects(printed, "printed") == case.expanded()
    assert printed == dump_objects(Case({"main|ports|+": GRPC}).expanded())
    assert "&id" not in printed


def test_core_and_mesh_objects_pass_through_unchanged():
    policy = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "deny-all"}, "spec": {}}
    assert policy in Case(further=[policy]).expanded()
