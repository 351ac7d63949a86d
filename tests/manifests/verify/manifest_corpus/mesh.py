"""Who may speak to whom: mutual TLS, tokens, allows, network policies, and roles."""

import json

from manifest_corpus.world import DROP, MAIN, POD, RUNTIME, SERVER, SERVICE, add, alike, broken, drop, put

CLIENTS, PREDICTORS, METRICS = "AuthorizationPolicy/clients", "AuthorizationPolicy/predictors", "PeerAuthentication/predictor-metrics"
INJECTION = "metadata.labels.'istio-injection'"
MONITOR = """
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata: {name: telemetry, namespace: models}
spec: {selector: {matchLabels: {app.kubernetes.io/name: telemetry}}, podMetricsEndpoints: [{port: metrics}]}
"""


def alert(*expressions, record=""):
    rules = [{"alert": f"A{place}", "expr": expression} for place, expression in enumerate(expressions)]
    found = {"groups": [{"name": "own", "rules": [*([{"record": record, "expr": "up"}] if record else []), *rules]}]}
    head = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: own, namespace: models}\n"
    return add("observability", f"{head}spec: {json.dumps(found)}\n")


METRICS_PORT = put(POD, f"{MAIN}.ports[+]", {"name": "metrics", "containerPort": 9090, "protocol": "TCP"})


def network(spec):
    return add("platform", f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: own, namespace: models}}\nspec: {spec}\n")


BROKEN = [
    broken("mesh/injected", "a namespace without proxies", put("Namespace/models", INJECTION, DROP)),
    broken("mesh/strict", "a namespace without mutual TLS", drop("PeerAuthentication/models/strict")),
    broken("mesh/strict mesh/no-plain-text", "plain text beside mutual TLS", put("PeerAuthentication/models/strict", "spec.mtls.mode", "PERMISSIVE")),
    broken("mesh/no-plain-text mesh/plain-port-is-metrics", "one workload in plain text, its server too", put(METRICS, "spec.mtls.mode", "DISABLE"),
           put(METRICS, "spec.portLevelMtls.'8080'", {"mode": "DISABLE"})),
    broken("mesh/plain-port-is-metrics", "the server's port in plain text", put(METRICS, "spec.portLevelMtls.'8080'", {"mode": "PERMISSIVE"})),
    broken("mesh/port-level-selector", "an exception for a port without a workload",
           put("PeerAuthentication/models/strict", "spec.portLevelMtls", {"9091": {"mode": "DISABLE"}})),
    broken("mesh/metrics-reachable", "strict mutual TLS at the port that Prometheus scrapes", drop(METRICS)),
    broken("mesh/metrics-reachable", "a second workload's metrics behind mutual TLS", METRICS_PORT, add("observability", MONITOR)),
    broken("mesh/gateway-tls", "a plain listener beside TLS", put("Gateway/front", "spec.listeners[+]", {"name": "http", "port": 8080, "protocol": "HTTP"})),
    broken("mesh/gateway-asks-certificate", "a gateway that asks for no certificate", put("Gateway/front", "spec.listeners[0].tls.options", DROP)),
    broken("mesh/token-required", "tokens checked and not asked for", put(CLIENTS, "spec.rules[0].from", [{"source": {"namespaces": ["edge"]}}])),
    broken("mesh/token-required", "one allow of two without a token",
           put(CLIENTS, "spec.rules[+]", {"from": [{"source": {"principals": ["cluster.local/ns/models/sa/telemetry"]}}]})),
    broken("mesh/token-required", "tokens checked, and nobody asks at all", drop(CLIENTS)),
    broken("mesh/no-allow-all", "an empty rule", put(PREDICTORS, "spec.rules[+]", {})),
    broken("mesh/no-allow-all", "every principal", put(PREDICTORS, "spec.rules[0].from[0].source.principals", ["*"])),
    broken("mesh/no-allow-all", "a path for everybody", put(PREDICTORS, "spec.rules[+]", {"to": [{"operation": {"paths": ["/v2/*"]}}]})),
    broken("mesh/default-deny", "no deny to start from", drop("AuthorizationPolicy/models/deny-all")),
    broken("mesh/principal-form", "a SPIFFE id where Istio wants none",
           put(PREDICTORS, "spec.rules[0].from[0].source.principals", ["spiffe://cluster.local/ns/edge/sa/front-istio"])),
    broken("mesh/destination-tls", "calls without mutual TLS", put("DestinationRule/incident", "spec.trafficPolicy.tls.mode", "DISABLE")),
    broken("network/default-deny", "no deny of packets", drop("NetworkPolicy/models/deny-all")),
    broken("network/default-deny", "a deny of packets in, not out", put("NetworkPolicy/models/deny-all", "spec.policyTypes", ["Ingress"])),
    broken("network/no-allow-all", "everything in", network("{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}")),
    broken("network/no-allow-all", "the whole world",
           network("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]}")),
    broken("network/names-resolve", "calls without names", drop("NetworkPolicy/allow-dns")),
    broken("rbac/no-wildcard", "every verb", put("Role/engineer", "rules[0].verbs", ["*"])),
    broken("rbac/no-secrets-read", "Secrets for everybody who may look", put("Role/engineer", "rules[0].resources", ["pods", "secrets"])),
    broken("rbac/no-escalation", "a shell in every Pod",
           put("Role/engineer", "rules[+]", {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]})),
    broken("rbac/no-escalation", "acting as somebody else",
           put("Role/engineer", "rules[+]", {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]})),
    broken("observability/monitor-port", "a port that no Pod declares", put("PodMonitor/predictors", "spec.podMetricsEndpoints[0].port", "prometheus")),
    broken("observability/metric-known", "an alert over a metric with a slip in its name", alert('rate(presage_request_total{code=~"5.."}[5m]) > 0')),
    broken("observability/metric-known", "a histogram without its suffix", alert("sum by (le) (rate(presage_request_seconds[5m]))")),
    broken("observability/everybody-scraped", "metrics that nobody reads", METRICS_PORT),
]  # fmt: skip
ALIKE = [
    alike("a namespace by the revision of its proxies",
          put("Namespace/models", INJECTION, DROP), put("Namespace/models", "metadata.labels.'istio.io/rev'", "stable")),
    alike("a Pod that says it has no proxy",
          put("Namespace/models", INJECTION, DROP), put(POD, "spec.template.metadata.labels.'sidecar.istio.io/inject'", "false"),
          put(SERVICE, "spec.predictor.labels", {"sidecar.istio.io/inject": "false"})),
    alike("mutual TLS for the whole mesh", drop("PeerAuthentication/models/strict"), drop("PeerAuthentication/edge/strict"), add("platform", """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
""")),
    alike("metrics in mutual TLS, scraped with certificates", drop(METRICS), put("PodMonitor/predictors", "spec.podMetricsEndpoints[0].scheme", "https")),
    alike("the proxy's own metrics", put("PodMonitor/predictors", "spec.podMetricsEndpoints[+]", {"port": "http-envoy-prom", "path": "/stats/prometheus"})),
    alike("a port by its number", put("PodMonitor/predictors", "spec.podMetricsEndpoints[0]", {"portNumber": 9090, "path": "/metrics"})),
    alike("a second workload's metrics, excepted", METRICS_PORT, add("observability", MONITOR), add("platform", """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: telemetry-metrics, namespace: models}
spec: {selector: {matchLabels: {app.kubernetes.io/name: telemetry}}, mtls: {mode: STRICT}, portLevelMtls: {"9090": {mode: DISABLE}}}
""")),
    alike("a port said to be strict", put(METRICS, "spec.portLevelMtls.'8080'", {"mode": "STRICT"})),
    alike("a listener that passes TLS through",
          put("Gateway/front", "spec.listeners[+]", {"name": "tls", "port": 9443, "protocol": "TLS", "tls": {"mode": "Passthrough"}})),
    alike("a token asked for by its claims", put(CLIENTS, "spec.rules[0]", {"when": [{"key": "request.auth.claims[aud]", "values": ["presage"]}]})),
    alike("whoever has no token is denied", put(CLIENTS, "spec.rules[0].from", [{"source": {"namespaces": ["edge"]}}]), add("platform", """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-token, namespace: edge}
spec:
  action: DENY
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
  rules: [{from: [{source: {notRequestPrincipals: ["*"]}}]}]
""")),
    alike("a deny of everybody is no allow", add("platform", """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: models}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}
""")),
    alike("every account of one namespace", put(PREDICTORS, "spec.rules[0].from[0].source.principals", ["cluster.local/ns/edge/sa/*"])),
    alike("a plain call to a host outside", add("platform", """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside, namespace: models}
spec: {host: login.example.org, trafficPolicy: {tls: {mode: SIMPLE}}}
""")),
    alike("one port from anywhere", network("{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 8443}]}]}")),
    alike("the world but for the cluster, at one port",
          network("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: 443}]}]}")),
    alike("a role that names everything it grants", put("Role/engineer", "rules[+]", {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]})),
    alike("a role that may make a Secret, not read one", put("Role/engineer", "rules[+]", {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]})),
    alike("alerts over what is exported, and over what is recorded", alert(
        'sum by (namespace, code) (rate(presage_requests_total{code=~"5..|a{b}"}[5m])) / on (namespace) group_left () sum(up) > bool 0.01',
        "histogram_quantile(0.99, sum by (le) (rate(presage_request_seconds_bucket[5m] offset 1h))) > 1e-3 and own:up:sum == 1",
        'label_replace(up, "pod", "$1", "instance", "(.+):.*") unless absent(up)', record="own:up:sum")),
    alike("a runtime that shows no metrics is not scraped",
          put(RUNTIME, f"{SERVER}.ports[1].name", "http-second"), drop("PodMonitor/predictors"), drop(METRICS)),
]  # fmt: skip
