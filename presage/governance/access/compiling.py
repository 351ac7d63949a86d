"""The whole policy compiled: every file that enforces it, as text, by its path in the repository."""

import json
import textwrap
from collections.abc import Sequence
from itertools import chain
from typing import Any

import yaml

from presage.governance.access.compiled import COMMON, Compiled
from presage.governance.access.document import AccessPolicy
from presage.governance.access.limits import client_limits
from presage.governance.access.mesh import mesh_allows
from presage.governance.access.network import network_allows
from presage.governance.access.people import roles
from presage.governance.access.vault import vault_objects, vault_policies, vault_roles

MANIFESTS = "manifests/base/platform/generated"
VAULT = "manifests/vault/generated"
SCHEMA = "policies/schemas/access.json"
_WIDTH = 140


def compile_access(policy: AccessPolicy, beside: Sequence[Compiled] = ()) -> dict[str, str]:
    """Path in the repository → content. The same policy gives the same bytes. beside: objects of other policies that lie in the same folders."""
    files: dict[str, str] = {}
    compiled = list(chain(mesh_allows(policy), network_allows(policy), client_limits(policy), roles(policy), vault_objects(policy), beside))
    for place in (COMMON, *policy.domains):
        found = sorted((one for one in compiled if one.place == place), key=lambda one: one.file)
        files |= {f"{MANIFESTS}/{place}/{one.file}": _head(one.clauses, one.because, one.source) + to_yaml(one.manifest) for one in found}
        files[f"{MANIFESTS}/{place}/kustomization.yaml"] = _kustomization(place, found)
    files[f"{VAULT}/roles.yaml"] = _head((), "Who may log in, as what, for how long.") + to_yaml(vault_roles(policy))
    files |= {f"{VAULT}/policies/{name}.hcl": comment(because, _FROM) + rules for name, because, rules in vault_policies(policy)}
    files[SCHEMA] = json.dumps(schema(), indent=2) + "\n"
    return files


def schema() -> dict[str, Any]:
    """The JSON Schema of policies/access.yaml."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "policies/access.yaml", **AccessPolicy.model_json_schema()}


def _from(source: str) -> str:
    return f"Compiled from {source} by `presage policies render`: change it there."


_FROM = _from("policies/access.yaml")


def _head(clauses: tuple[str, ...], because: str, source: str = "policies/access.yaml") -> str:
    named = f"{', '.join(dict.fromkeys(clauses))}: " if clauses else ""
    return comment(f"{named}{because}", _from(source))


def comment(*texts: str) -> str:
    wrapper = textwrap.TextWrapper(_WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False)
    return "".join(wrapper.fill(text) + "\n" for text in texts)


def _kustomization(place: str, found: list[Compiled]) -> str:
    what = "whatever domains an overlay has" if place == COMMON else f"of the domain {place}"
    document = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [one.file for one in found]}
    return comment(f"Allows, limits, roles and secrets {what}.", _FROM) + to_yaml(document)


class _Dumper(yaml.CSafeDumper):
    """Texts of several lines as blocks; no anchors, which a reader of one object would have to look up."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=10_000)
