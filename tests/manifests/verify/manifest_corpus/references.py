"""Names that are not there, and names that look so; routes and what they attach to."""

from manifest_corpus.world import DROP, GATE, MAIN, POD, RUNTIME, SERVICE, add, alike, broken, canary, drop, put

SPEC = "spec.template.spec"
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: own, namespace: models}
spec:
  parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front, namespace: edge}]
  hostnames: [own.example.org]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs: [{kind: Service, name: telemetry, port: 80}]
"""
TELEMETRY = {"kind": "Service", "name": "telemetry", "port": 80}
MOUNTED = f"{MAIN}.volumeMounts[+]"


def volume(source):
    return put(POD, f"{SPEC}.volumes[+]", {"name": "extra", **source}), put(POD, MOUNTED, {"name": "extra", "mountPath": "/extra"})


BROKEN = [
    broken("references/secret", "a Secret that nobody makes", *volume({"secret": {"secretName": "absent"}})),
    broken("references/secret", "the runtime's Secret, whose VaultStaticSecret is gone", drop("VaultStaticSecret/release-storage")),
    broken("references/secret", "the gateway's certificate, issued under another name",
           put("VaultPKISecret/gateway-tls", "spec.destination.name", "front-tls")),
    broken("references/secret", "an authority of Vault that is not there", drop("Secret/models/vault-ca")),
    broken("references/secret", "a key that a certificate does not have",
           *volume({"secret": {"secretName": "edge-tls", "items": [{"key": "tls.pem", "path": "x"}]}}),
           add("platform", """
apiVersion: secrets.hashicorp.com/v1beta1
kind: VaultPKISecret
metadata: {name: edge-tls, namespace: models}
spec: {vaultAuthRef: incident, mount: pki, role: r, expiryOffset: 1h, destination: {name: edge-tls, create: true, type: kubernetes.io/tls}}
""")),
    broken("references/secret", "a pull secret that is not there", put(POD, f"{SPEC}.imagePullSecrets", [{"name": "registry"}])),
    broken("references/config-map", "a ConfigMap that is not there", drop("ConfigMap/client-limits")),
    broken("references/config-map", "a key that the ConfigMap does not have", put("ConfigMap/client-limits", "data", {"limits.yaml": "{}"})),
    broken("references/config-map", "a projected ConfigMap that is not there", *volume({"projected": {"sources": [{"configMap": {"name": "absent"}}]}})),
    broken("references/claim", "a claim that is not there", drop("PersistentVolumeClaim/online-store")),
    broken("references/account", "an account that is not there", put(SERVICE, "spec.predictor.serviceAccountName", "predictor")),
    broken("references/account", "a login at Vault as nobody", put("VaultAuth/incident", "spec.jwt.serviceAccount", "absent")),
    broken("references/account", "a role bound to nobody", put("RoleBinding/engineer", "subjects[1].name", "absent")),
    broken("references/role", "a binding of a role that is not there", put("RoleBinding/engineer", "roleRef.name", "engineers")),
    broken("references/namespace", "a namespace with a slip in its name", put("Role/engineer", "metadata.namespace", "model"),
           put("RoleBinding/engineer", "metadata.namespace", "model")),
    broken("references/selector", "a Service that selects nobody", put("Service/telemetry", "spec.selector", {"app": "telemetry"})),
    broken("references/selector", "a budget for nobody", put("PodDisruptionBudget/incident", "spec.selector.matchLabels", {"app": "incident"})),
    broken("references/selector", "a network policy for nobody", put("NetworkPolicy/allow-vault", "spec.podSelector.matchLabels", {"component": "predict"})),
    broken("references/selector mesh/metrics-reachable", "an exception from mutual TLS for nobody",
           put("PeerAuthentication/predictor-metrics", "spec.selector.matchLabels", {"component": "server"})),
    broken("references/service", "a route to a Service that is not there",
           add("platform", ROUTE), put("HTTPRoute/own", "spec.rules[0].backendRefs[0].name", "stream")),
    broken("references/service", "a route to a port of the Pod, not of the Service",
           add("platform", ROUTE), put("HTTPRoute/own", "spec.rules[0].backendRefs[0].port", 8080)),
    broken("references/service-port", "a Service's target that no container declares", put("Service/telemetry", "spec.ports[0].targetPort", "web")),
    broken("references/gateway", "a Gateway that is not there", put("ConfigMap/inferenceservice-config", "data.ingress",
           '{"enableGatewayApi": true, "kserveIngressGateway": "edge/door", "ingressGateway": "edge/door", "ingressDomain": "example.org"}')),
    broken("references/gateway", "a domain for which no listener is there", put("ConfigMap/inferenceservice-config", "data.ingress",
           '{"enableGatewayApi": true, "kserveIngressGateway": "edge/front", "ingressGateway": "edge/front", "ingressDomain": "example.com"}')),
    broken("references/gateway", "a namespace that the listener does not let in", put("Namespace/models", "metadata.labels.'presage.io/models'", DROP)),
    broken("references/destination", "a DestinationRule for nobody", put("DestinationRule/incident", "spec.host", "incident")),
    broken("references/target mesh/token-required", "a policy for a Gateway that is not there",
           put("AuthorizationPolicy/edge/clients", "spec.targetRefs[0].name", "door")),
    broken("references/principal", "a principal that is nobody",
           put("AuthorizationPolicy/predictors", "spec.rules[0].from[0].source.principals", ["cluster.local/ns/edge/sa/front"])),
    broken("references/binding admission/bound", "a binding of a policy that is not there",
           put("ValidatingAdmissionPolicyBinding/releases", "spec.policyName", "release")),
    broken("references/gate-token", "a token without an audience",
           put(RUNTIME, "spec.volumes[1].projected.sources[0].serviceAccountToken.audience", DROP)),
    broken("references/gate-token", "a token at another path", put(GATE, "spec.container.env[2].value", "/var/run/secrets/presage/jwt")),
    broken("routes/weights", "all weights 0", add("platform", ROUTE), put("HTTPRoute/own", "spec.rules[0].backendRefs[0].weight", 0)),
    broken("routes/hundred", "weights that are no percent", add("platform", ROUTE),
           put("HTTPRoute/own", "spec.rules[0].backendRefs", [{**TELEMETRY, "weight": 95}, {**TELEMETRY, "weight": 50, "port": 80}])),
    broken("routes/one-owner", "two routes of one host", add("platform", ROUTE), put("HTTPRoute/own", "spec.hostnames", ["incident-models.example.org"]),
           put("HTTPRoute/own", "spec.rules[0].matches", [{"path": {"type": "RegularExpression", "value": "^/.*$"}}])),
]  # fmt: skip
ALIKE = [
    alike("an optional Secret may be absent", *volume({"secret": {"secretName": "absent", "optional": True}})),
    alike("an optional key may be absent",
          put(POD, f"{MAIN}.env", [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "a", "optional": True}}}])),
    alike("a key that only Vault knows", *volume({"secret": {"secretName": "release-storage", "items": [{"key": "access_key", "path": "k"}]}})),
    alike("a ConfigMap that is filled by hand", put("ConfigMap/client-limits", "data", {})),
    alike("a ConfigMap in a projection", *volume({"projected": {"sources": [{"configMap": {"name": "client-limits"}}]}})),
    alike("a group of people is no ServiceAccount",
          put("RoleBinding/engineer", "subjects", [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "telemetry"}])),
    alike("an account of a namespace that is not ours",
          put("RoleBinding/engineer", "subjects[1]", {"kind": "ServiceAccount", "name": "argocd", "namespace": "argocd"})),
    alike("a cluster role that every server has",
          put("RoleBinding/engineer", "roleRef", {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"})),
    alike("an object in KServe's own namespace",
          put("Role/engineer", "metadata.namespace", "kserve"), put("RoleBinding/engineer", "metadata.namespace", "kserve")),
    alike("a selector of a namespace in which nothing runs yet", add("platform", """
apiVersion: v1
kind: Namespace
metadata: {name: jobs, annotations: {argocd.argoproj.io/sync-options: Prune=false}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-clients, namespace: jobs}
spec: {podSelector: {matchLabels: {app: job}}, policyTypes: [Ingress], ingress: [{ports: [{port: 8080}]}]}
""")),
    alike("a Service without a selector has its own endpoints", add("platform", """
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: models}
spec: {ports: [{name: https, port: 443}]}
""")),
    alike("an expression that selects by In",
          put("PodDisruptionBudget/incident", "spec.selector", {"matchExpressions": [{"key": "component", "operator": "In", "values": ["predictor", "x"]}]})),
    alike("a policy for the gateway's own Pods, which Istio makes", add("platform", """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-clients, namespace: edge}
spec:
  podSelector: {matchLabels: {gateway.networking.k8s.io/gateway-name: front}}
  policyTypes: [Ingress]
  ingress: [{ports: [{protocol: TCP, port: 8443}]}]
""")),
    alike("a route of our own beside KServe's", add("platform", ROUTE)),
    alike("a route by a listener's name", add("platform", ROUTE), put("HTTPRoute/own", "spec.parentRefs[0].sectionName", "https")),
    alike("one host, another path", add("platform", ROUTE), put("HTTPRoute/own", "spec.hostnames", ["incident-models.example.org"])),
    alike("one backend of two gets nothing", add("platform", ROUTE),
          put("HTTPRoute/own", "spec.rules[0].backendRefs", [{**TELEMETRY, "weight": 100}, {**TELEMETRY, "weight": 0}])),
    alike("a DestinationRule that waits for the canary", put("DestinationRule/incident", "spec.host", "incident-canary-predictor")),
    alike("a DestinationRule by the full name", put("DestinationRule/incident", "spec.host", "incident-predictor.models.svc.cluster.local")),
    alike("a DestinationRule for a host outside", put("DestinationRule/incident", "spec.host", "login.example.org")),
    alike("a principal of a namespace that is not ours",
          put("AuthorizationPolicy/predictors", "spec.rules[0].from[0].source.principals", ["cluster.local/ns/shop/sa/checkout"])),
    alike("a canary uses all that the stable does", canary(annotations={"serving.kserve.io/autoscalerClass": "none"})),
    alike("a Secret of certificates that are public", add("platform", """
apiVersion: v1
kind: Secret
metadata: {name: authority, namespace: models}
stringData: {ca.crt: "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"}
"""), *volume({"secret": {"secretName": "authority", "items": [{"key": "ca.crt", "path": "ca.crt"}]}})),
    alike("a default account that no proxy stands for", put("Namespace/models", "metadata.labels.'istio-injection'", DROP),
          put(POD, "spec.template.metadata.labels.'sidecar.istio.io/inject'", "false"),
          put(POD, f"{SPEC}.serviceAccountName", DROP), put(SERVICE, "spec.predictor.labels", {"sidecar.istio.io/inject": "false"})),
]  # fmt: skip
