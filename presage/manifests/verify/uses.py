"""Which ConfigMaps, Secrets and claims a Pod uses, and which of their keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from presage.manifests.verify.subjects import Pod


@dataclass(frozen=True)
class Use:
    """kind: ConfigMap, Secret or PersistentVolumeClaim. path: below the Pod. keys: those it needs; empty: whatever there is."""

    kind: str
    name: str
    path: str
    keys: tuple[str, ...] = ()


def uses(pod: Pod) -> Iterator[Use]:
    """All that a Pod cannot start without; what is marked optional is left out."""
    for position, volume in enumerate(pod.spec.get("volumes") or []):
        path = f"spec.volumes[{position}]"
        yield from _source(f"{path}.", volume)
        if claim := volume.get("persistentVolumeClaim"):
            yield Use("PersistentVolumeClaim", str(claim.get("claimName")), f"{path}.persistentVolumeClaim.claimName")
        for place, source in enumerate((volume.get("projected") or {}).get("sources") or []):
            yield from _source(f"{path}.projected.sources[{place}].", source)
    for container in pod.containers:
        path = container.path.removeprefix(pod.path)
        for position, variable in enumerate(container.env):
            yield from _key(f"{path}.env[{position}].valueFrom", variable.get("valueFrom") or {})
        for position, source in enumerate(container.manifest.get("envFrom") or []):
            for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if field in source and not source[field].get("optional"):
                    yield Use(kind, str(source[field].get("name")), f"{path}.envFrom[{position}].{field}.name")
    for position, reference in enumerate(pod.spec.get("imagePullSecrets") or []):
        yield Use("Secret", str(reference.get("name")), f"spec.imagePullSecrets[{position}].name")


def _source(path: str, holder: dict[str, Any]) -> Iterator[Use]:
    for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
        source = holder.get(field)
        if isinstance(source, dict) and not source.get("optional"):
            name = "secretName" if "secretName" in source else "name"
            keys = tuple(str(item.get("key")) for item in source.get("items") or [])
            yield Use(kind, str(source.get(name)), f"{path}{field}.{name}", keys)


def _key(path: str, source: dict[str, Any]) -> Iterator[Use]:
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if field in source and not source[field].get("optional"):
            yield Use(kind, str(source[field].get("name")), f"{path}.{field}.name", (str(source[field].get("key")),))
