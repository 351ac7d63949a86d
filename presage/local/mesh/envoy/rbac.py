"""AuthorizationPolicies as Envoy's RBAC filter, rule by rule as Istio translates them.

A request passes where no DENY policy matches it, and either one ALLOW policy does or there is none. Within a policy's rule all terms
must hold; Envoy splits them into permissions (what is asked) and principals (who asks).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from presage.local.mesh.envoy.documents import Config, typed
from presage.local.mesh.kinds.access import AuthorizationPolicy, Rule, Term
from presage.local.mesh.kinds.names import Name

RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
CONNECTION_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"

_NEVER: Config = {"permissions": [{"not_rule": {"any": True}}], "principals": [{"not_id": {"any": True}}]}


def access_filters(policies: Iterable[AuthorizationPolicy], namespace: str, labels: Mapping[str, str]) -> list[Config]:
    """The filters of one workload: what denies, then what allows; without policies of a kind, none."""
    mine = [policy for policy in policies if policy.selection.finds(namespace, labels)]
    by_action = {action: [policy for policy in mine if policy.action == action] for action in ("DENY", "ALLOW")}
    return [_filter(action, found) for action, found in by_action.items() if found]


def connection_filters(policies: Iterable[AuthorizationPolicy], namespace: str, labels: Mapping[str, str], statistics: str) -> list[Config]:
    """The same for a port that speaks no HTTP, where a connection is let in or not. As Istio has it, what only HTTP can answer makes an ALLOW
    rule hold for nothing, and a DENY rule for whatever the rest of it says."""
    mine = [policy for policy in policies if policy.selection.finds(namespace, labels)]
    by_action = {action: [_of_connections(policy) for policy in mine if policy.action == action] for action in ("DENY", "ALLOW")}
    return [
        {
            "name": f"envoy.filters.network.rbac.{action.lower()}",
            "typed_config": typed(CONNECTION_RBAC, stat_prefix=f"{statistics}_{action.lower()}.", rules=_rules(action, found)),
        }
        for action, found in by_action.items() if found
    ]  # fmt: skip


def _of_connections(policy: AuthorizationPolicy) -> AuthorizationPolicy:
    if policy.action == "ALLOW":
        return replace(policy, rules=tuple(rule for rule in policy.rules if not any(map(_needs_http, _terms(rule)))))
    return replace(policy, rules=tuple(map(_without_http, policy.rules)))


def _without_http(rule: Rule) -> Rule:
    sources, operations = (tuple(tuple(term for term in terms if not _needs_http(term)) for terms in each) for each in (rule.sources, rule.operations))
    return Rule(sources, operations, tuple(term for term in rule.when if not _needs_http(term)))


def _terms(rule: Rule) -> list[Term]:
    return [term for terms in (*rule.sources, *rule.operations, rule.when) for term in terms]


def _needs_http(term: Term) -> bool:
    return term.attribute.startswith("request.")


def _filter(action: str, policies: Sequence[AuthorizationPolicy]) -> Config:
    return {"name": f"envoy.filters.http.rbac.{action.lower()}", "typed_config": typed(RBAC, rules=_rules(action, policies))}


def _rules(action: str, policies: Sequence[AuthorizationPolicy]) -> Config:
    rules: Config = {}
    for policy in policies:
        for position, rule in enumerate(policy.rules):
            rules[f"ns[{policy.name.namespace}]-policy[{policy.name.name}]-rule[{position}]"] = rule_policy(rule, policy.name)
        if not policy.rules:
            rules[f"ns[{policy.name.namespace}]-policy[{policy.name.name}]-rule[0]"] = _NEVER
    return {"action": action, "policies": rules}


def rule_policy(rule: Rule, policy: Name) -> Config:
    """One rule as an RBAC policy: any of the permissions, and any of the principals. policy: whose namespace a bare service account is of."""
    asked = [term for term in rule.when if term.attribute in _PERMISSIONS]
    asking = [term for term in rule.when if term.attribute not in _PERMISSIONS]
    return {
        "permissions": [_all_permissions([*terms, *asked]) for terms in rule.operations or ((),)],
        "principals": [_all_principals([*terms, *asking], policy) for terms in rule.sources or ((),)],
    }


def _all_permissions(terms: Sequence[Term]) -> Config:
    found: list[Config] = []
    for term in terms:
        make = _PERMISSIONS[term.attribute]
        if term.values:
            found.append({"or_rules": {"rules": [make(value) for value in term.values]}})
        if term.excluded:
            found.append({"not_rule": {"or_rules": {"rules": [make(value) for value in term.excluded]}}})
    return {"and_rules": {"rules": found or [{"any": True}]}}


def _all_principals(terms: Sequence[Term], policy: Name) -> Config:
    found: list[Config] = []
    for term in terms:
        if term.values:
            found.append({"or_ids": {"ids": _principals(term, term.values, policy)}})
        if term.excluded:
            found.append({"not_id": {"or_ids": {"ids": _principals(term, term.excluded, policy)}}})
    return {"and_ids": {"ids": found or [{"any": True}]}}


_PERMISSIONS: Mapping[str, Callable[[str], Config]] = {
    "request.host": lambda value: {"header": _header(":authority", value, ignore_case=True)},
    "request.method": lambda value: {"header": _header(":method", value)},
    "request.path": lambda value: {"url_path": {"path": text(value)}},
    "destination.port": lambda value: {"destination_port": int(value)},
    "connection.sni": lambda value: {"requested_server_name": text(value)},
}


def _principals(term: Term, values: Sequence[str], policy: Name) -> list[Config]:
    match term.attribute:
        case "source.principal":
            return [_certificate(text(value, "spiffe://")) for value in values]
        case "source.namespace":
            return [_certificate(_regex(f".*/ns/{value.replace('*', '.*')}/.*")) for value in values]
        case "source.serviceAccount":
            return [_certificate(_regex(_account(value, policy.namespace))) for value in values]
        case "request.auth.principal":
            return [_token_principal(value) for value in values]
        case "request.headers":
            return [{"header": _header(term.keys[0], value)} for value in values]
        case "request.auth.audiences":
            return [_claim(["aud"], values)]
        case "request.auth.presenter":
            return [_claim(["azp"], values)]
        case "request.auth.claims":
            return [_claim(list(term.keys), values)]
    raise ValueError(term.attribute)


def text(value: str, prefix: str = "") -> Config:
    """A text as Istio's `*` means it: alone presence, in front a suffix, at the end a prefix, anywhere else itself."""
    if value == "*":
        return _regex(".+")
    if value.startswith("*"):
        return _regex(f"{prefix}.*{value[1:]}") if prefix else {"suffix": value[1:]}
    return {"prefix": prefix + value[:-1]} if value.endswith("*") else {"exact": prefix + value}


def _regex(expression: str) -> Config:
    return {"safe_regex": {"regex": expression}}


def _header(name: str, value: str, ignore_case: bool = False) -> Config:
    if value == "*":
        return {"name": name, "present_match": True}
    return {"name": name, "string_match": text(value) | ({"ignore_case": True} if ignore_case else {})}


def _certificate(matcher: Config) -> Config:
    """The URI of a certificate that was checked. Envoy's own `authenticated` would take a DNS name or subject where there is no URI."""
    settings = typed("envoy.extensions.rbac.principals.mtls_authenticated.v3.Config", san_matcher={"san_type": "URI", "matcher": matcher})
    return {"custom": {"name": "envoy.rbac.principals.mtls_authenticated", "typed_config": settings}}


def _account(value: str, namespace: str) -> str:
    owner, _, account = value.rpartition("/")
    return f"spiffe://.+/ns/{owner or namespace}/(.+/|)sa/{account}(/.+)?"


def _token_principal(value: str) -> Config:
    """`issuer/subject` of a token. The issuer may be a URL: the last slash parts them."""
    issuer, slash, subject = value.rpartition("/") if "/" in value else (value, "", "")
    if value == "*":
        pair = _regex(".+"), _regex(".+")
    elif value.startswith("*"):
        pair = (_ending(issuer), {"exact": subject}) if slash else (_regex(".+"), {"suffix": value[1:]})
    elif value.endswith("*"):
        pair = ({"exact": issuer}, _beginning(subject)) if slash else ({"prefix": value[:-1]}, _regex(".+"))
    else:
        pair = {"exact": issuer}, {"exact": subject}
    return {"and_ids": {"ids": [_metadata(["iss"], {"string_match": pair[0]}), _metadata(["sub"], {"string_match": pair[1]})]}}


def _ending(pattern: str) -> Config:
    return _regex(".+") if pattern == "*" else {"suffix": pattern[1:]}


def _beginning(pattern: str) -> Config:
    return _regex(".+") if pattern == "*" else {"prefix": pattern[:-1]}


def _claim(path: list[str], values: Sequence[str]) -> Config:
    """A claim that is one of the values, or a list that holds one."""
    wanted = [{"string_match": text(value)} for value in values]
    one: Config = wanted[0] if len(wanted) == 1 else {"or_match": {"value_matchers": wanted}}
    return _metadata(path, {"or_match": {"value_matchers": [{"list_match": {"one_of": one}}, one]}})


def _metadata(path: list[str], value: Config) -> Config:
    matcher = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": key} for key in ("payload", *path)], "value": value}
    return {"sourced_metadata": {"metadata_matcher": matcher}}
