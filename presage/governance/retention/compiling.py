"""What enforces retention in clusters: a job a domain, with the terms it goes by, and each bucket's lifecycle.

The job has the prediction log and a volume of its own for its audit log, no network, no token and no Secret: it reads a claim and a ConfigMap. Release
stores and the registry are not a domain's: `presage retention apply` is run where their keys are.
"""

import json
from collections.abc import Iterator

from presage.governance.access.compiled import Compiled, manifest
from presage.governance.access.document import AccessPolicy
from presage.governance.retention.lifecycles import lifecycle
from presage.governance.retention.policy import RetentionPolicy
from presage.governance.retention.terms import Terms
from presage.manifests.objects import Manifest

BUCKETS = "manifests/buckets/generated"
NAME, LOG_CLAIM, AUDIT_CLAIM, FILE = "retention", "prediction-log", "retention-audit", "retention.json"
SOURCE = "policies/retention.yaml and policies/models"
_IMAGE = "presage/serving:0.1.0"
_LABELS = {"app.kubernetes.io/name": NAME}
_CONFINED = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip


def retention_jobs(terms: Terms, access: AccessPolicy) -> Iterator[Compiled]:
    """Objects of every domain."""
    policy = terms.policy
    why = f"{policy.title}. {policy.rationale}"
    document = json.dumps(json.loads(terms.content), indent=2, ensure_ascii=False) + "\n"
    clauses = (policy.id, policy.rule_of("prediction-log").id)
    for domain, namespace in access.domains.items():
        yield Compiled(domain, clauses, f"{why} What its job goes by.", manifest("v1", "ConfigMap", NAME, namespace, data={FILE: document}), SOURCE)
        account = manifest("v1", "ServiceAccount", NAME, namespace, automountServiceAccountToken=False)
        yield Compiled(domain, (policy.id,), "Who the job is. It may reach nobody, and read no secret.", account, SOURCE)
        kept = "The audit log of its deletions, and the key that signs it. It outlives what it tells of."
        yield Compiled(domain, (policy.id,), kept, _claim(namespace), SOURCE)
        because = f"{why} Deletes what is due of the prediction log, each with an entry of an audit log that has a volume of its own."
        yield Compiled(domain, clauses, because, _job(policy, namespace), SOURCE)


def bucket_lifecycles(policy: RetentionPolicy) -> dict[str, str]:
    """Path in the repository → the document that `presage retention apply` gives the bucket."""
    return {f"{BUCKETS}/{rule.bucket}.lifecycle.xml": lifecycle(rule) for rule in policy.buckets}


def _claim(namespace: str) -> Manifest:
    found = manifest(
        "v1", "PersistentVolumeClaim", AUDIT_CLAIM, namespace,
        spec={"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": {"requests": {"storage": "1Gi"}}},
    )  # fmt: skip
    found["metadata"]["annotations"] = {"argocd.argoproj.io/sync-options": "Prune=false"}
    return found


def _job(policy: RetentionPolicy, namespace: str) -> Manifest:
    hour, _, minute = policy.daily_at.partition(":")
    volumes = {
        "prediction-log": ("/var/lib/presage/predictions", {"persistentVolumeClaim": {"claimName": LOG_CLAIM}}),
        "audit": ("/var/lib/presage/state", {"persistentVolumeClaim": {"claimName": AUDIT_CLAIM}}),
        "terms": ("/etc/presage/retention", {"configMap": {"name": NAME}}),
        "scratch": ("/tmp", {"emptyDir": {"sizeLimit": "64Mi"}}),  # noqa: S108 - in the Pod, its own
    }
    read_only = {"terms"}
    container = {
        "name": NAME, "image": _IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["presage", "--state", "/var/lib/presage/state/presage", "retention", "apply"],
        "args": ["--store=prediction-log", "--log=/var/lib/presage/predictions", f"--terms=/etc/presage/retention/{FILE}", "--output=json"],
        "env": [{"name": "TMPDIR", "value": "/tmp"}],  # noqa: S108
        "volumeMounts": [{"name": name, "mountPath": path} | ({"readOnly": True} if name in read_only else {}) for name, (path, _) in volumes.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "securityContext": _CONFINED,
    }  # fmt: skip
    identity = {
        "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    pod = {
        "restartPolicy": "Never", "serviceAccountName": NAME, "automountServiceAccountToken": False, "enableServiceLinks": False,
        "securityContext": identity, "containers": [container], "volumes": [{"name": name, **source} for name, (_, source) in volumes.items()],
    }  # fmt: skip
    # Outside the mesh: a proxy would outlive the work, and there is nobody to speak with.
    template = {"metadata": {"labels": {**_LABELS, "sidecar.istio.io/inject": "false"}}, "spec": pod}
    spec = {
        "schedule": f"{int(minute)} {int(hour)} * * *", "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": {"backoffLimit": 3, "activeDeadlineSeconds": 14400, "template": template}},
    }  # fmt: skip
    return manifest("batch/v1", "CronJob", NAME, namespace, spec=spec)
