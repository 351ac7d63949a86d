"""What Argo CD makes of the objects, Vault's resources, secrets in Git, schemas, budgets."""

from manifest_corpus.world import DROP, GATE, MAIN, POD, RUNTIME, SERVER, SERVICE, add, alike, broken, drop, move, put

WAVE, HOOK, OPTIONS = "argocd.argoproj.io/sync-wave", "argocd.argoproj.io/hook", "argocd.argoproj.io/sync-options"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: check, namespace: models}
spec:
  template:
    spec:
      restartPolicy: Never
      serviceAccountName: telemetry
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: check
          image: presage/serving@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          command: [python, -c, pass]
          resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 100m, memory: 64Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
"""


def annotated(name, key, value):
    return put(name, f"metadata.annotations.'{key}'", value)


def secret(text):
    return add("platform", f"apiVersion: v1\nkind: Secret\nmetadata: {{name: own, namespace: models}}\n{text}\n")


BROKEN = [
    broken("gitops/unique", "one object in two applications", add("streams", """
apiVersion: v1
kind: ConfigMap
metadata: {name: client-limits, namespace: models}
data: {limits.json: "{}"}
""")),
    broken("gitops/unique", "a service `a` with a canary `b` beside a service `a-b`", put(SERVICE, "spec.predictor.name", "canary"), add("models", """
apiVersion: v1
kind: Service
metadata: {name: incident-canary-predictor, namespace: models}
spec: {selector: {component: predictor}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""), drop("DestinationRule/incident")),
    broken("gitops/one-wave", "a wave in the model's application", annotated(SERVICE, WAVE, "1"), annotated(RUNTIME, WAVE, "0")),
    broken("gitops/one-wave", "a hook in the model's application", annotated("PodDisruptionBudget/incident", HOOK, "PreSync")),
    broken("gitops/no-job", "a Job in the model's application", add("models", JOB)),
    broken("gitops/wave-number", "a wave that is no number", annotated("Role/engineer", WAVE, "first")),
    broken("gitops/kept", "a namespace that a slip would prune", annotated("Namespace/models", OPTIONS, "ServerSideApply=true")),
    broken("gitops/kept", "data that a slip would prune", put("PersistentVolumeClaim/online-store", "metadata.annotations", DROP)),
    broken("gitops/no-confirm", "a hand that must confirm, in the model's application", annotated(RUNTIME, OPTIONS, "Prune=confirm")),
    broken("gitops/replicas-left-out", "replicas beside an autoscaler", add("platform", """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: telemetry, namespace: models}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: telemetry}, minReplicas: 1, maxReplicas: 2}
""")),
    broken("gitops/foreign-keys", "a link that people would click on", annotated(SERVICE, "link.argocd.argoproj.io/external-link", "https://example.org")),
    broken("gitops/foreign-keys", "the label by which objects are tracked",
           put("Service/telemetry", "metadata.labels", {"app.kubernetes.io/instance": "telemetry"})),
    broken("gitops/port-protocol", "a port in a list without its protocol", put(RUNTIME, f"{SERVER}.ports[0].protocol", DROP)),
    broken("gitops/canonical-quantity", "half a core, in another spelling", put(RUNTIME, f"{SERVER}.resources.requests.cpu", "0.5")),
    broken("gitops/canonical-quantity", "1024 mebibytes", put(GATE, "spec.container.resources.limits.memory", "1024Mi")),
    broken("vault/audience", "a login that takes anybody's token", put("VaultAuth/incident", "spec.jwt.audiences", DROP)),
    broken("vault/encrypted", "Vault in plain text", put("VaultConnection/models/vault", "spec.address", "http://vault.vault.svc:8200")),
    broken("vault/encrypted expand/understood", "Vault's certificate unchecked", put("VaultConnection/edge/vault", "spec.skipTLSVerify", True)),
    broken("vault/renewed", "a certificate that is issued once", put("VaultPKISecret/gateway-tls", "spec.expiryOffset", DROP)),
    broken("vault/refreshed", "a secret that is read once", put("VaultStaticSecret/release-storage", "spec.refreshAfter", DROP)),
    broken("secrets/not-in-git", "a password in Git", secret("stringData: {password: hunter2}")),
    broken("secrets/not-in-git", "a private key beside its certificate",
           secret(f'stringData: {{tls.crt: "{CERTIFICATE}", tls.key: "{CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY")}"}}')),
    broken("secrets/no-key-in-config", "a private key in a ConfigMap",
           put("ConfigMap/client-limits", "data.'key.pem'", "-----BEGIN EC PRIVATE KEY-----\nMIIB\n-----END EC PRIVATE KEY-----\n")),
    broken("schema/built-in", "a field with a slip in its name", put(POD, f"{MAIN}.livenesProbe", {"exec": {"command": ["python"]}})),
    broken("schema/built-in", "a number where text belongs", put("ConfigMap/client-limits", "data.'limit'", 5)),
    broken("schema/built-in", "a slip inside a custom resource's Pod", put(SERVICE, "spec.predictor.securityContext.runAsNonRot", True)),
    broken("schema/known-kind", "a version that no server has any more", put("PodDisruptionBudget/incident", "apiVersion", "policy/v1beta1")),
    broken("disruption/drainable", "a budget that lets nobody go", put("PodDisruptionBudget/incident", "spec.maxUnavailable", 0)),
    broken("disruption/drainable", "as many at least as there are", put("PodDisruptionBudget/incident", "spec.maxUnavailable", DROP),
           put("PodDisruptionBudget/incident", "spec.minAvailable", 2)),
]  # fmt: skip
ALIKE = [
    alike("one name in two namespaces", add("platform", """
apiVersion: v1
kind: ConfigMap
metadata: {name: client-limits, namespace: edge}
data: {limits.json: "{}"}
""")),
    alike("one name of two kinds", add("platform", """
apiVersion: v1
kind: ConfigMap
metadata: {name: telemetry, namespace: models}
data: {}
""")),
    alike("a wave in an application without models", annotated("Role/engineer", WAVE, "-1")),
    alike("the same wave for all of a model's application", annotated(SERVICE, WAVE, "0"), annotated(RUNTIME, WAVE, "0")),
    alike("a Job elsewhere", add("streams", JOB)),
    alike("Prune=false beside another option", annotated("Namespace/models", OPTIONS, "ServerSideApply=true,Prune=false")),
    alike("a hand that must confirm, elsewhere", annotated("Role/engineer", OPTIONS, "Delete=confirm")),
    alike("an autoscaler, and no replicas", put(POD, "spec.replicas", DROP), add("platform", """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: telemetry, namespace: models}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: telemetry}, minReplicas: 1, maxReplicas: 2}
""")),
    alike("quantities as the server writes them",
          put(RUNTIME, f"{SERVER}.resources", {"requests": {"cpu": "1500m", "memory": "1536Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}})),
    alike("a port of a Deployment, where the server's additions do not show", put(POD, f"{MAIN}.ports[0].protocol", DROP)),
    alike("a public certificate in Git", secret(f'stringData: {{ca.crt: "{CERTIFICATE}"}}')),
    alike("a public key in a ConfigMap", put("ConfigMap/client-limits", "data.'key.pub'", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n")),
    alike("a Secret that somebody else fills", secret("type: Opaque")),
    alike("a budget of one less than there are",
          put("PodDisruptionBudget/incident", "spec.maxUnavailable", DROP), put("PodDisruptionBudget/incident", "spec.minAvailable", 1)),
    alike("a budget in percent", put("PodDisruptionBudget/incident", "spec.maxUnavailable", "50%")),
    alike("Vault's login by Kubernetes' own method", put("VaultAuth/incident", "spec", {
        "method": "kubernetes", "mount": "kubernetes", "vaultConnectionRef": "vault",
        "kubernetes": {"role": "models.incident", "serviceAccount": "incident", "audiences": ["vault"]}})),
    alike("objects of one application spread over two", move("Service/telemetry", "platform")),
]  # fmt: skip
