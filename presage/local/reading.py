"""Core objects read into what the plane runs and enforces.

    reading = read(objects)      # .workloads, .mesh (objects for the proxies), .not_honoured

Nothing is passed over in silence: a kind or field that the plane does not know is refused (FieldError, PlaneError); one it knows
and cannot enforce on plain processes goes into `not_honoured`, which `presage up` and `presage status` show.
"""

from dataclasses import dataclass, field, replace

from presage.errors import PlaneError
from presage.local.autoscaling import Scaling, read_scaling
from presage.local.cron import Schedule
from presage.local.pods import Periodic, Pod, Workload
from presage.local.rollout import Strategy, read_strategy
from presage.local.template import read_template
from presage.manifests.fields import Fields
from presage.manifests.objects import Manifest, group, label


@dataclass
class Reading:
    """What reading gathers. scalings: what scales Deployments, if their load can be told here.

    not_honoured: what cannot be enforced here → which workloads or objects ask it."""

    workloads: list[Workload] = field(default_factory=list)
    periodic: list[Periodic] = field(default_factory=list)
    mesh: list[Manifest] = field(default_factory=list)
    scalings: list[Scaling] = field(default_factory=list)
    not_honoured: dict[str, list[str]] = field(default_factory=dict)

    def note(self, text: str, who: str) -> None:
        known = self.not_honoured.setdefault(text, [])
        if who not in known:
            known.append(who)


_LOOKED_UP = frozenset({"ConfigMap", "PersistentVolumeClaim", "Secret"})  # by the Pods that use them (presage.local.volumes)
_MESH = frozenset({
    "Service", "Gateway", "HTTPRoute", "AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "DestinationRule", "EnvoyFilter",
})  # fmt: skip
_OBSERVED = frozenset({"PodMonitor", "PrometheusRule"})  # by Prometheus, where it is installed (presage.local.observe)
_SCALES = "ScaledObject"  # by what Prometheus and processes tell (presage.local.scaler)
_ROLES = "Roles and RoleBindings: there is no API server to ask"
_QUOTAS = "ResourceQuotas and LimitRanges: the machine itself is the limit"
_ADMISSION = "admission policies: there is no API server; a plane that follows a branch asks them itself, and the gate refuses what they would"
_EGRESS = "ServiceEntries and Sidecars (egress): programs reach what this machine reaches"
_POLICIES = "NetworkPolicies: processes of one machine reach each other's inner addresses; the mesh's own rules hold on the outer ones"
_ELSEWHERE = {
    "NetworkPolicy": _POLICIES, "ServiceAccount": "", "Role": _ROLES, "RoleBinding": _ROLES, "ClusterRole": _ROLES, "ClusterRoleBinding": _ROLES,
    "PodDisruptionBudget": "PodDisruptionBudgets: nobody drains this machine", "ResourceQuota": _QUOTAS, "LimitRange": _QUOTAS,
    "HorizontalPodAutoscaler": "HorizontalPodAutoscalers: replicas stay as written", "ServiceEntry": _EGRESS, "Sidecar": _EGRESS,
    "ValidatingAdmissionPolicy": _ADMISSION, "ValidatingAdmissionPolicyBinding": _ADMISSION,
    "TriggerAuthentication": "TriggerAuthentications: the plane's Prometheus asks nobody who they are",
}  # fmt: skip
_NAMESPACE = "Pod security of the namespace: programs run as you do, with your rights"
INJECTION = "istio-injection"


def read(objects: list[Manifest]) -> Reading:
    """All objects of a plan, strictly. Raises FieldError and PlaneError."""
    reading = Reading()
    injected = {found["metadata"]["name"] for found in objects if found["kind"] == "Namespace" and _labels(found).get(INJECTION) == "enabled"}
    for manifest in objects:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind == "Deployment":
            reading.workloads.append(_read_deployment(manifest, injected, reading))
        elif kind == "CronJob":
            reading.periodic.append(_read_cron_job(manifest, injected, reading))
        elif kind == "Pod":
            template = {"metadata": manifest["metadata"], "spec": manifest.get("spec", {})}
            pod = read_template(label(manifest), template, name, _namespace(manifest), sidecars=_namespace(manifest) in injected, note=reading.note)
            reading.workloads.append(Workload("Pod", pod, Strategy("Recreate", 1)))
        elif kind == "Namespace":
            reading.note(_NAMESPACE, name)
        elif kind in _MESH or kind in _OBSERVED:
            reading.mesh.append(manifest)
        elif kind in _ELSEWHERE:
            if text := _ELSEWHERE[kind]:
                reading.note(text, label(manifest))
        elif kind == _SCALES:
            continue
        elif kind not in _LOOKED_UP or group(manifest):
            raise PlaneError(f"{label(manifest)}: the plane does not run this kind. Leave it out of the overlay, or run it in a cluster.")
    _read_scalings(objects, reading)
    _check_references(objects, reading)
    return reading


def _read_scalings(objects: list[Manifest], reading: Reading) -> None:
    """ScaledObjects; a Deployment begins with the fewest replicas that its own allows."""
    deployments = {(_namespace(found), found["metadata"]["name"]): found for found in objects if found["kind"] == "Deployment"}
    for manifest in objects:
        if manifest["kind"] != _SCALES:
            continue
        named = ((manifest.get("spec") or {}).get("scaleTargetRef") or {}).get("name")
        scaling = read_scaling(manifest, deployments.get((_namespace(manifest), str(named))))
        reading.scalings.append(scaling)
        reading.workloads = [
            replace(one, strategy=replace(one.strategy, replicas=scaling.least)) if one.key == scaling.key else one for one in reading.workloads
        ]


def _read_deployment(manifest: Manifest, injected: set[str], reading: Reading) -> Workload:
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    replicas = spec.take("replicas", int, 1)
    strategy = read_strategy(spec, replicas)
    for silent in ("selector", "revisionHistoryLimit", "progressDeadlineSeconds"):
        spec.optional(silent, object)
    if spec.take("minReadySeconds", int, 0):
        reading.note("minReadySeconds: a Pod counts as soon as it is ready", label(manifest))
    template = spec.take("template", dict)
    spec.finish()
    namespace = _namespace(manifest)
    pod = read_template(label(manifest), template, manifest["metadata"]["name"], namespace, sidecars=namespace in injected, note=reading.note)
    return Workload("Deployment", pod, strategy)


def _read_cron_job(manifest: Manifest, injected: set[str], reading: Reading) -> Periodic:
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.optional("status", dict)
    whole.finish()
    schedule = Schedule.parse(spec.take("schedule", str))
    if spec.take("timeZone", str, "Etc/UTC") not in ("UTC", "Etc/UTC"):
        spec.refuse("timeZone", "is not Etc/UTC, the only one the plane knows. Write the schedule in it.")
    for silent in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit", "startingDeadlineSeconds"):
        spec.optional(silent, int)
    overlap = spec.take("concurrencyPolicy", str, "Allow")
    if overlap not in ("Allow", "Forbid", "Replace"):
        spec.refuse("concurrencyPolicy", f"is {overlap!r}; it may be Allow, Forbid or Replace.")
    suspended = spec.take("suspend", bool, False)
    outer = spec.inside("jobTemplate")
    spec.finish()
    outer.optional("metadata", dict)
    job = outer.inside("spec")
    outer.finish()
    retries, deadline = job.take("backoffLimit", int, 6), job.optional("activeDeadlineSeconds", int)
    job.optional("ttlSecondsAfterFinished", int)
    for single in ("completions", "parallelism"):
        if job.take(single, int, 1) != 1:
            job.refuse(single, "is not 1. The plane runs one Pod a Job.")
    template = job.take("template", dict)
    job.finish()
    namespace = _namespace(manifest)
    pod = read_template(
        label(manifest), template, manifest["metadata"]["name"], namespace, sidecars=namespace in injected, note=reading.note, once=True,
    )
    return Periodic(pod, schedule, suspended, overlap, retries, None if deadline is None else float(deadline))  # type: ignore[arg-type]


def _check_references(objects: list[Manifest], reading: Reading) -> None:
    """Whatever a Pod mounts or reads must be among the objects: a cluster would leave the Pod waiting without end."""
    there = {(found["kind"], _namespace(found), found["metadata"]["name"]) for found in objects if found["kind"] in _LOOKED_UP}
    for pod in (*(workload.template for workload in reading.workloads), *(one.template for one in reading.periodic)):
        for kind, name in _references(pod):
            if (kind, pod.namespace, name) not in there:
                problem = f"uses {kind} {name!r}, which no manifest holds. Add it to an application of the overlay."
                raise PlaneError(f"a Pod of {pod.namespace}/{pod.workload} {problem}")


def _references(pod: Pod) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for volume in pod.volumes:
        found += [("PersistentVolumeClaim", volume.claim)] if volume.claim else []
        found += [(source.kind, source.name) for source in volume.files if not source.optional]
    for container in (*pod.init_containers, *pod.containers):
        found += list(container.sources)
        for variable in container.env:
            found += [("ConfigMap", variable.config_map)] if variable.config_map else []
            found += [("Secret", variable.secret)] if variable.secret else []
    return found


def _labels(manifest: Manifest) -> dict[str, str]:
    return manifest["metadata"].get("labels") or {}


def _namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", "default"))
