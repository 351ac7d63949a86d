"""Where an object holds the template of its Pods."""

from typing import Any

from presage.manifests.objects import Manifest

_STEPS = {
    "Deployment": ("spec", "template"), "StatefulSet": ("spec", "template"), "DaemonSet": ("spec", "template"), "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"), "CronJob": ("spec", "jobTemplate", "spec", "template"), "Pod": (),
}  # fmt: skip


def template_of(manifest: Manifest) -> tuple[str, dict[str, Any]] | None:
    """(path, template); the path ends in a dot, and is empty for a Pod itself. None for an object that makes no Pods."""
    steps = _STEPS.get(manifest["kind"])
    if steps is None:
        return None
    template: Any = manifest
    for step in steps:
        template = template.get(step) if isinstance(template, dict) else None
    return ("".join(f"{step}." for step in steps), template) if isinstance(template, dict) else None
