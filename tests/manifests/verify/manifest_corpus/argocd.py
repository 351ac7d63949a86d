"""What Argo CD is told to follow, and what its projects allow: Applications and projects beside the good set."""

from manifest_corpus.world import DROP, POD, RUNTIME, SERVICE, add, alike, broken, canary, drop, move, put

SERVER = "https://kubernetes.default.svc"
COMPARE, PATHS = "metadata.annotations.'argocd.argoproj.io/compare-options'", "metadata.annotations.'argocd.argoproj.io/manifest-generate-paths'"
OPTIONS = "metadata.annotations.'argocd.argoproj.io/sync-options'"
PLATFORM = """\
    - {group: "", kind: ConfigMap}
    - {group: "", kind: PersistentVolumeClaim}
    - {group: "", kind: Secret}
    - {group: "", kind: Service}
    - {group: "", kind: ServiceAccount}
    - {group: apps, kind: Deployment}
    - {group: argoproj.io, kind: Application}
    - {group: argoproj.io, kind: AppProject}
    - {group: batch, kind: Job}
    - {group: gateway.networking.k8s.io, kind: Gateway}
    - {group: monitoring.coreos.com, kind: PodMonitor}
    - {group: networking.istio.io, kind: DestinationRule}
    - {group: networking.k8s.io, kind: NetworkPolicy}
    - {group: rbac.authorization.k8s.io, kind: Role}
    - {group: rbac.authorization.k8s.io, kind: RoleBinding}
    - {group: secrets.hashicorp.com, kind: VaultAuth}
    - {group: secrets.hashicorp.com, kind: VaultConnection}
    - {group: secrets.hashicorp.com, kind: VaultPKISecret}
    - {group: secrets.hashicorp.com, kind: VaultStaticSecret}
    - {group: security.istio.io, kind: AuthorizationPolicy}
    - {group: security.istio.io, kind: PeerAuthentication}
    - {group: security.istio.io, kind: RequestAuthentication}
"""
PROJECTS = f"""
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {{name: models, namespace: argocd}}
spec:
  sourceRepos: [https://git.example.org/presage.git]
  destinations: [{{server: {SERVER}, namespace: models}}]
  namespaceResourceWhitelist:
    - {{group: policy, kind: PodDisruptionBudget}}
    - {{group: serving.kserve.io, kind: InferenceService}}
    - {{group: serving.kserve.io, kind: ServingRuntime}}
---
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {{name: platform, namespace: argocd}}
spec:
  sourceRepos: [https://git.example.org/presage.git]
  destinations:
    - {{server: {SERVER}, namespace: argocd}}
    - {{server: {SERVER}, namespace: edge}}
    - {{server: {SERVER}, namespace: kserve}}
    - {{server: {SERVER}, namespace: models}}
  clusterResourceWhitelist:
    - {{group: "", kind: Namespace, name: edge}}
    - {{group: "", kind: Namespace, name: models}}
    - {{group: admissionregistration.k8s.io, kind: ValidatingAdmissionPolicy}}
    - {{group: admissionregistration.k8s.io, kind: ValidatingAdmissionPolicyBinding}}
    - {{group: serving.kserve.io, kind: ClusterStorageContainer, name: gate}}
  namespaceResourceWhitelist:
{PLATFORM}"""


def application(name, project="platform", namespace="argocd", folder=None):
    return f"""
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: {name}
  namespace: argocd
  annotations: {{argocd.argoproj.io/compare-options: ServerSideDiff=true, argocd.argoproj.io/manifest-generate-paths: .}}
spec:
  project: {project}
  source: {{repoURL: "https://git.example.org/presage.git", targetRevision: main, path: manifests/rendered/good/{folder or name}}}
  destination: {{server: {SERVER}, namespace: {namespace}}}
  syncPolicy:
    automated: {{prune: true, selfHeal: true}}
    retry: {{limit: 10, refresh: true, backoff: {{duration: 5s, factor: 2, maxDuration: 30s}}}}
    syncOptions: [ServerSideApply=true, FailOnSharedResource=true]
"""


FOLDERS = ("argocd", "observability", "platform", "policies", "streams")
ARGO = [add("argocd", PROJECTS), *(add("argocd", application(name)) for name in FOLDERS), add("argocd", application("models", "models", "models"))]
MODELS, TENANT = "Application/models", "AppProject/models"
SET = """
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: domains, namespace: argocd}
spec:
  goTemplate: true
  goTemplateOptions: ["missingkey=error"]
  generators: [{list: {elements: [{domain: network}]}}]
  template:
    metadata: {name: "models-{{.domain}}"}
    spec:
      project: PROJECT
      source: {repoURL: "https://git.example.org/presage.git", path: "manifests/rendered/good/{{.domain}}"}
      destination: {server: "https://kubernetes.default.svc", namespace: models}
"""
WINDOW = {"kind": "deny", "schedule": "0 0 24 12 *", "duration": "72h", "timeZone": "Etc/UTC"}
JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: train, namespace: models, labels: {kueue.x-k8s.io/queue-name: training}}
spec:
  template:
    spec:
      restartPolicy: Never
      serviceAccountName: telemetry
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: train
          image: presage/serving@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
          command: [python, -c, pass]
          resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 100m, memory: 64Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
"""
SCALED = [
    put(SERVICE, "metadata.annotations.'serving.kserve.io/autoscalerClass'", "keda"), put(SERVICE, "spec.predictor.maxReplicas", 4),
    put(SERVICE, "spec.predictor.autoScaling", {"metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
        {"type": "External", "external": {
            "metric": {"backend": "prometheus", "serverAddress": "http://prometheus.monitoring.svc:9090",
                       "query": 'sum(rate(presage_requests_total{namespace="models",inferenceservice="incident",track="stable"}[2m]))'},
            "target": {"type": "Value", "value": "50"}}}]}),
]  # fmt: skip
QUERY = "spec.predictor.autoScaling.metrics[1].external.metric.query"


def with_argo(rules, title, *edits):
    return broken(rules, title, *ARGO, *edits)


def fine(title, *edits):
    return alike(title, *ARGO, *edits)


BROKEN = [
    with_argo("gitops/server-side", "server-side apply without its comparison", put(MODELS, COMPARE, "IgnoreExtraneous")),
    with_argo("gitops/server-side", "a comparison on the server without its apply", put(MODELS, "spec.syncPolicy.syncOptions", ["FailOnSharedResource=true"])),
    with_argo("gitops/no-mutation-webhook", "a comparison that shows what webhooks add (CVE-2026-42880)",
              put(MODELS, COMPARE, "ServerSideDiff=true,IncludeMutationWebhook=true")),
    broken("gitops/no-mutation-webhook", "a comparison of one object that shows it", put("Secret/vault-ca", COMPARE, "IncludeMutationWebhook=true")),
    with_argo("gitops/no-replace", "objects replaced in place of applied", put(MODELS, "spec.syncPolicy.syncOptions[+]", "Replace=true")),
    broken("gitops/no-replace", "a Deployment that is deleted to be changed", put(POD, OPTIONS, "Force=true,Replace=false")),
    with_argo("gitops/retry-refreshed", "retries that stay with the bad commit (argo-cd#11494)", put(MODELS, "spec.syncPolicy.retry.refresh", DROP)),
    with_argo("gitops/retry-refreshed", "Argo CD's own retries", put(MODELS, "spec.syncPolicy.retry", DROP)),
    with_argo("gitops/retry-ends", "retries without end", put(MODELS, "spec.syncPolicy.retry.limit", -1)),
    with_argo("gitops/no-prune-last", "a prune that waits for the models", put(MODELS, "spec.syncPolicy.syncOptions[+]", "PruneLast=true")),
    broken("gitops/no-prune-last", "one object of the models that is pruned last", put(RUNTIME, OPTIONS, "PruneLast=true")),
    with_argo("gitops/no-frozen-canary", "a canary's percent that Git no longer decides (argo-cd#17694)",
              put(MODELS, "spec.syncPolicy.syncOptions[+]", "RespectIgnoreDifferences=true"),
              put(MODELS, "spec.ignoreDifferences", [{"group": "serving.kserve.io", "kind": "InferenceService",
                                                      "jqPathExpressions": [".spec.canary[].trafficPercent"]}])),
    with_argo("gitops/generate-paths", "a rendered folder whose own files are not named", put(MODELS, PATHS, "/docs")),
    with_argo("gitops/generate-paths gitops/followed", "an overlay without its base", put(MODELS, "spec.source.path", "manifests/overlays/good/models"),
              put(MODELS, PATHS, ".;/manifests/components")),
    with_argo("gitops/no-deny-window", "a freeze that stops rollbacks, too", put(TENANT, "spec.syncWindows", [{**WINDOW, "applications": ["*"]}])),
    with_argo("gitops/no-deny-window", "a freeze by namespace", put(TENANT, "spec.syncWindows", [{**WINDOW, "namespaces": ["mod*"]}])),
    with_argo("gitops/project-named gitops/allowed", "an Application of the project that allows all", put(MODELS, "spec.project", "default")),
    with_argo("gitops/project-named", "a set of them", add("argocd", SET.replace("PROJECT", "default")),
              put("AppProject/platform", "spec.namespaceResourceWhitelist[+]", {"group": "argoproj.io", "kind": "ApplicationSet"})),
    with_argo("gitops/project-literal", "a project that a folder's name decides", add("argocd", SET.replace("PROJECT", '"{{.domain}}"')),
              put("AppProject/platform", "spec.namespaceResourceWhitelist[+]", {"group": "argoproj.io", "kind": "ApplicationSet"})),
    with_argo("gitops/project-narrow", "a project that takes from anywhere", put(TENANT, "spec.sourceRepos", ["*"])),
    with_argo("gitops/project-narrow", "a project that reaches every namespace", put(TENANT, "spec.destinations[0].namespace", "*")),
    with_argo("gitops/project-narrow", "a project without a list of kinds", put(TENANT, "spec.namespaceResourceWhitelist", DROP)),
    with_argo("gitops/project-narrow", "a project of every kind of a group",
              put(TENANT, "spec.namespaceResourceWhitelist[+]", {"group": "policy", "kind": "*"})),
    with_argo("gitops/tenant-confined", "a tenant who may write Secrets", put(TENANT, "spec.namespaceResourceWhitelist[+]", {"group": "", "kind": "Secret"})),
    with_argo("gitops/tenant-confined", "a tenant who may write Applications",
              put(TENANT, "spec.namespaceResourceWhitelist[+]", {"group": "argoproj.io", "kind": "Application"})),
    with_argo("gitops/tenant-confined", "a tenant who may write what is the cluster's",
              put(TENANT, "spec.clusterResourceWhitelist", [{"group": "", "kind": "Namespace"}])),
    with_argo("gitops/allowed", "an object that its project does not allow", put(TENANT, "spec.namespaceResourceWhitelist[0].kind", "NetworkPolicy")),
    with_argo("gitops/allowed", "a namespace that its project does not reach", put("AppProject/platform", "spec.destinations[2].namespace", "knative")),
    with_argo("gitops/allowed", "a Namespace of another name than the project's", put("AppProject/platform", "spec.clusterResourceWhitelist[0].name", "egde")),
    with_argo("gitops/allowed", "another repository", put(MODELS, "spec.source.repoURL", "https://git.example.org/fork.git")),
    with_argo("gitops/allowed", "an Application that says no namespace, of a project that names some", put(MODELS, "spec.destination.namespace", DROP)),
    with_argo("gitops/allowed", "a project that is not there", put(MODELS, "spec.project", "modls")),
    with_argo("gitops/followed", "a folder that nobody follows", drop("Application/streams")),
    with_argo("gitops/followed", "two Applications of one folder", add("argocd", application("again", folder="streams"))),
    with_argo("gitops/followed", "another overlay's folder", put(MODELS, "spec.source.path", "manifests/rendered/production/models")),
    broken("gitops/suspend-left-out", "a queued Job that Git stops again", add("streams", JOB), put("Job/train", "spec.suspend", True)),
    broken("gitops/no-queued-hook", "a hook that waits for room", add("streams", JOB),
           put("Job/train", "metadata.annotations.'argocd.argoproj.io/hook'", "PreSync")),
    broken("kserve/own-load", "replicas by every domain's load", *SCALED, put(SERVICE, QUERY, "sum(rate(presage_requests_total[2m]))")),
    broken("kserve/own-load", "replicas by the load of canary and shadow, too", *SCALED,
           put(SERVICE, QUERY, 'sum(rate(presage_requests_total{namespace="models",inferenceservice="incident"}[2m]))')),
    broken("observability/scaling-metric", "replicas by what nobody exports", *SCALED,
           put(SERVICE, QUERY, 'sum(presage_queue{namespace="models",inferenceservice="incident",track="stable"})')),
]  # fmt: skip
ALIKE = [
    fine("everything followed, and allowed"),
    fine("options in an annotation, among others", put(MODELS, "spec.syncPolicy.syncOptions", ["FailOnSharedResource=true"]),
         put(MODELS, OPTIONS, "Prune=false, ServerSideApply=true")),
    fine("a sync by hand, without retries", put(MODELS, "spec.syncPolicy.automated", DROP), put(MODELS, "spec.syncPolicy.retry", DROP)),
    fine("prune last, without models", put("Application/streams", "spec.syncPolicy.syncOptions[+]", "PruneLast=true")),
    fine("an ignored field that is in no list of models", put(MODELS, "spec.syncPolicy.syncOptions[+]", "RespectIgnoreDifferences=true"),
         put(MODELS, "spec.ignoreDifferences", [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}])),
    fine("a freeze of what is no model", put("AppProject/platform", "spec.syncWindows", [{**WINDOW, "applications": ["streams"]}])),
    fine("a window in which models may be synced", put(TENANT, "spec.syncWindows", [{**WINDOW, "kind": "allow", "applications": ["*"]}])),
    fine("a freeze that needs both, and has one", put(TENANT, "spec.syncWindows", [
        {**WINDOW, "applications": ["models"], "namespaces": ["other"], "andOperator": True}])),
    fine("a set of a project that is written out", add("argocd", SET.replace("PROJECT", "models")),
         put("AppProject/platform", "spec.namespaceResourceWhitelist[+]", {"group": "argoproj.io", "kind": "ApplicationSet"})),
    fine("the default project, locked", add("argocd", """
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: []
  destinations: []
  clusterResourceBlacklist: [{group: "*", kind: "*"}]
  namespaceResourceWhitelist: []
  namespaceResourceBlacklist: [{group: "*", kind: "*"}]
""")),
    fine("a name by pattern, of a kind of the cluster's", put("AppProject/platform", "spec.clusterResourceWhitelist[0].name", "edg?")),
    fine("a canary in the models' folder", canary()),
    alike("a Job in a queue, which starts it", add("streams", JOB)),
    alike("a hook outside of queues", add("streams", JOB.replace(", labels: {kueue.x-k8s.io/queue-name: training}", "")),
          put("Job/train", "metadata.annotations.'argocd.argoproj.io/hook'", "PreSync")),
    alike("a replica's threshold by its own load", *SCALED),
    alike("objects moved, and no Application beside them", move("Service/telemetry", "platform")),
]  # fmt: skip
