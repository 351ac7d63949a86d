"""Builders of small repositories that a plane follows: real Git, one rendered folder an application, no kustomize."""

from pathlib import Path
from typing import Any

import yaml
from builders.repositories import Checkout

RENDERED = "manifests/rendered/local"


def branch(root: Path, **applications: list[dict[str, Any]]) -> Checkout:
    """A checkout of main with these applications (`_` in a name stands for `-`)."""
    root.mkdir(parents=True)
    made = Checkout(root)
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("config", "user.name", "platform")
    made.git("config", "user.email", "platform@presage.invalid")
    commit(made, **applications)
    return made


def commit(checkout: Checkout, **applications: list[dict[str, Any]] | str | None) -> str:
    """Commit these applications as they are given (text as it is, None: the folder goes), and leave the others as they are. The commit."""
    for name, objects in applications.items():
        path = checkout.root / RENDERED / name.replace("_", "-") / "manifest.yaml"
        if objects is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(objects if isinstance(objects, str) else yaml.safe_dump_all(objects))
    checkout.git("add", "--all")
    checkout.git("commit", "--quiet", "--allow-empty", "-m", "change")
    return checkout.git("rev-parse", "HEAD")


def config_map(value: str, name: str = "settings", namespace: str = "presage", **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "data": {"value": value}}


def policy(expression: str, message: str = "as the policy says", name: str = "values", **spec: Any) -> list[dict[str, Any]]:
    """A policy over ConfigMaps, with the binding by which it denies everywhere."""
    api = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    written = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression, "message": message}], **spec}
    binding = {"policyName": name, "validationActions": ["Deny"]}
    return [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": written},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]


NOT_BAD = policy("object.data.value != 'bad'", "value: write a good one")
