"""AuthorizationPolicies: who may do what. A rule is what it asks of the caller (`from`), of the request (`to`) and besides (`when`).

Every condition becomes a Term over one attribute, named as Istio names it:

    source.principal source.namespace source.serviceAccount          from the caller's certificate
    request.auth.principal|audiences|presenter|claims                from its token
    request.host request.method request.path request.headers destination.port connection.sni
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from presage.local.mesh.kinds.names import Name, take_choice, whole_spec
from presage.local.mesh.kinds.selection import Selection, read_selection
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest

_SOURCE: Mapping[str, str] = {
    "principals": "source.principal", "namespaces": "source.namespace", "serviceAccounts": "source.serviceAccount",
    "requestPrincipals": "request.auth.principal",
}
_OPERATION: Mapping[str, str] = {"hosts": "request.host", "methods": "request.method", "paths": "request.path", "ports": "destination.port"}
_KEYS = (
    "source.principal", "source.namespace", "source.serviceAccount", "request.auth.principal", "request.auth.audiences", "request.auth.presenter",
    "destination.port", "connection.sni",
)
_KEYED = re.compile(r"(request\.headers|request\.auth\.claims)((?:\[[^\[\]]+\])+)")
_ADDRESSES = {"ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks", "source.ip", "remote.ip", "destination.ip"}
_ACTIONS = {
    "ALLOW": "", "DENY": "", "AUDIT": "and nothing here audits. Remove the policy; refusals are in the access log.",
    "CUSTOM": "which asks a provider outside the mesh that the plane does not have. Write ALLOW or DENY.",
}
_IDENTITY = re.compile(r"\*?[A-Za-z0-9._/-]*\*?")
_NAMESPACE = re.compile(r"[A-Za-z0-9*-]+")
_ACCOUNT = re.compile(r"(?:[a-z0-9-]+/)?[a-z0-9.-]+")


@dataclass(frozen=True)
class Term:
    """One condition: the attribute is (or starts or ends with, by `*`) one of `values`, and none of `excluded`. keys: header or claims."""

    attribute: str
    values: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Holds where one of `sources` does (or there is none), one of `operations` does (or there is none), and every term of `when`."""

    sources: tuple[tuple[Term, ...], ...] = ()
    operations: tuple[tuple[Term, ...], ...] = ()
    when: tuple[Term, ...] = ()


@dataclass(frozen=True)
class AuthorizationPolicy:
    """Matches where one of its rules does; without rules, never: an ALLOW of nothing denies all."""

    name: Name
    action: Literal["ALLOW", "DENY"]
    selection: Selection
    rules: tuple[Rule, ...]


def read_authorization_policy(manifest: Manifest) -> AuthorizationPolicy:
    """Raises FieldError."""
    spec = whole_spec(manifest)
    if (manifest["metadata"].get("annotations") or {}).get("istio.io/dry-run", "false") != "false":
        raise FieldError(spec.place, "metadata.annotations[istio.io/dry-run]", "is on; here a policy holds or is not there. Remove the annotation.")
    action = take_choice(spec, "action", _ACTIONS, "ALLOW")
    selection = read_selection(spec, manifest)
    rules = tuple(_read_rule(rule) for rule in _filled(spec, "rules", may_be_empty=True))
    spec.finish()
    return AuthorizationPolicy(Name.of(manifest), "DENY" if action == "DENY" else "ALLOW", selection, rules)


def _read_rule(fields: Fields) -> Rule:
    sources = tuple(_read_terms(entry, "source", _SOURCE) for entry in _filled(fields, "from"))
    operations = tuple(_read_terms(entry, "operation", _OPERATION) for entry in _filled(fields, "to"))
    when = tuple(_read_condition(condition) for condition in _filled(fields, "when"))
    fields.finish()
    return Rule(sources, operations, when)


def _read_terms(entry: Fields, name: str, attributes: Mapping[str, str]) -> tuple[Term, ...]:
    """The terms of one `source` or `operation`; each field has its twin that excludes: paths, notPaths."""
    fields = entry.inside(name)
    entry.finish()
    for address in _ADDRESSES:
        if address in fields:
            _refuse_address(fields, address)
    terms = []
    for field, attribute in attributes.items():
        opposite = f"not{field[0].upper()}{field[1:]}"
        values, excluded = _values(fields, field, attribute), _values(fields, opposite, attribute)
        if values or excluded:
            terms.append(Term(attribute, values, excluded))
    fields.finish()
    if not terms:
        raise FieldError(fields.place, fields.path, f"says nothing. Write what the {name} is, or leave it out to mean any.")
    return tuple(terms)


def _read_condition(fields: Fields) -> Term:
    key = fields.take("key", str)
    if key in _ADDRESSES:
        _refuse_address(fields, "key")
    keyed = _KEYED.fullmatch(key)
    if keyed is None and key not in _KEYS:
        fields.refuse("key", f"is {key!r}, which is not understood here. The plane knows {', '.join(_KEYS)}, request.headers[…], request.auth.claims[…].")
    attribute, keys = (keyed[1], tuple(re.findall(r"\[([^\[\]]+)\]", keyed[2]))) if keyed else (key, ())
    if attribute == "request.headers" and len(keys) != 1:
        fields.refuse("key", f"is {key!r}; a header has one name.")
    values, excluded = _values(fields, "values", attribute), _values(fields, "notValues", attribute)
    fields.finish()
    if not values and not excluded:
        raise FieldError(fields.place, fields.path, f"asks nothing of {key}. Write values or notValues.")
    return Term(attribute, values, excluded, keys)


def _values(fields: Fields, name: str, attribute: str) -> tuple[str, ...]:
    """The texts of one list, each of a form that the attribute can have."""
    written = name in fields
    found = fields.texts(name)
    place = f"{fields.path}.{name}"
    if written and not found:
        raise FieldError(fields.place, place, "is an empty list, which would hold for everything. Fill it, or remove it.")
    for value in found:
        if problem := _problem(attribute, value):
            raise FieldError(fields.place, place, f"holds {value!r}, {problem}")
    return found


def _problem(attribute: str, value: str) -> str:
    """What is wrong with a value, empty where nothing is."""
    if not value:
        return "which is empty. Remove it."
    if attribute == "source.principal" and not _IDENTITY.fullmatch(value):
        return "no identity. Write it like cluster.local/ns/NAMESPACE/sa/ACCOUNT, with at most one * at its start or end."
    if attribute == "source.namespace" and not _NAMESPACE.fullmatch(value):
        return "no namespace."
    if attribute == "source.serviceAccount" and not _ACCOUNT.fullmatch(value):
        return "no service account. Write it like ACCOUNT or NAMESPACE/ACCOUNT."
    if attribute == "destination.port" and not (value.isdigit() and 0 < int(value) < 65536):
        return "no port. Write a number between 1 and 65535, quoted."
    if attribute == "request.path" and re.search(r"\{\*\*?\}", value):
        return "a path template, which the plane does not honour. Write an exact path, a prefix /path/* or a suffix */path."
    return ""


def _filled(fields: Fields, name: str, may_be_empty: bool = False) -> list[Fields]:
    """The mappings of a list that, where it is written, is not empty: an empty one reads as if it were absent, and would allow more."""
    written = name in fields
    found = fields.each(name)
    if written and not found and not may_be_empty:
        raise FieldError(fields.place, f"{fields.path}.{name}", "is an empty list, which would hold for everything. Fill it, or remove it.")
    return found


def _refuse_address(fields: Fields, name: str) -> None:
    fields.refuse(name, "asks for addresses, and on the plane every caller has a loopback one. Name callers by principal.")
