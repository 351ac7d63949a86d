"""AuthorizationPolicy by its documentation, straight from the manifest: what the compiled rules are compared with. And the compiled rules, evaluated."""

import re
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Asked:
    """One request. identity: the URI of its certificate; claims: of its token."""

    identity: str | None = None
    method: str = "GET"
    path: str = "/"
    host: str = "a"
    port: int = 8080
    headers: dict[str, str] = field(default_factory=dict)
    claims: dict[str, Any] | None = None


# By the documentation

def allowed(policies: list[dict], asked: Asked) -> bool:
    by_action = {action: [each["spec"] for each in policies if each["spec"].get("action", "ALLOW") == action] for action in ("ALLOW", "DENY")}
    if any(_policy(spec, asked) for spec in by_action["DENY"]):
        return False
    return not by_action["ALLOW"] or any(_policy(spec, asked) for spec in by_action["ALLOW"])


def _policy(spec: dict, asked: Asked) -> bool:
    return any(_rule(rule, asked) for rule in spec.get("rules", []))


def _rule(rule: dict, asked: Asked) -> bool:
    sources, operations = rule.get("from"), rule.get("to")
    return (
        (sources is None or any(_fields(entry["source"], _SOURCE, asked) for entry in sources))
        and (operations is None or any(_fields(entry["operation"], _OPERATION, asked) for entry in operations))
        and all(_condition(condition, asked) for condition in rule.get("when", []))
    )


def _fields(fields: dict, kinds: dict, asked: Asked) -> bool:
    for name, match in kinds.items():
        if name in fields and not any(match(value, asked) for value in fields[name]):
            return False
        opposite = f"not{name[0].upper()}{name[1:]}"
        if any(match(value, asked) for value in fields.get(opposite, [])):
            return False
    return True


def _condition(condition: dict, asked: Asked) -> bool:
    key = condition["key"]
    kinds = {"source.principal": _principal, "source.namespace": _namespace, "request.auth.principal": _token, "destination.port": _port}
    if key.startswith("request.headers["):
        name = key[16:-1].lower()

        def match(value, asked):
            return name in asked.headers and _text(value, asked.headers[name])
    elif key.startswith("request.auth."):
        path = {"audiences": ["aud"], "presenter": ["azp"]}.get(key[13:]) or re.findall(r"\[([^\]]+)\]", key)
        match = kinds.get(key) or (lambda value, asked: _claim(path, value, asked))
    else:
        match = kinds[key]
    if "values" in condition and not any(match(value, asked) for value in condition["values"]):
        return False
    return not any(match(value, asked) for value in condition.get("notValues", []))


def _text(pattern: str, value: str) -> bool:
    if pattern == "*":
        return value != ""
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def _principal(pattern, asked):
    return asked.identity is not None and (pattern == "*" or _text(pattern, asked.identity.removeprefix("spiffe://")))


def _namespace(pattern, asked):
    part = asked.identity.split("/ns/")[1].split("/")[0] if asked.identity else ""
    return bool(part) and re.fullmatch(pattern.replace("*", ".*"), part) is not None


def _token(pattern, asked):
    issuer, subject = (asked.claims or {}).get("iss"), (asked.claims or {}).get("sub")
    return bool(issuer and subject) and _text(pattern, f"{issuer}/{subject}")


def _claim(path, pattern, asked):
    found: Any = asked.claims
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return any(isinstance(each, str) and _text(pattern, each) for each in (found if isinstance(found, list) else [found]))


def _port(value, asked):
    return int(value) == asked.port


_SOURCE = {"principals": _principal, "namespaces": _namespace, "requestPrincipals": _token}
_OPERATION = {
    "hosts": lambda value, asked: _text(value.lower(), asked.host.lower()), "methods": lambda value, asked: _text(value, asked.method),
    "paths": lambda value, asked: _text(value, asked.path), "ports": _port,
}


# As Envoy evaluates it

def passes(settings: dict, asked: Asked) -> bool:
    """Whether a request passes an RBAC filter with these settings."""
    matched = any(
        any(_permission(each, asked) for each in policy["permissions"]) and any(_envoy_principal(each, asked) for each in policy["principals"])
        for policy in settings["rules"]["policies"].values()
    )
    return matched == (settings["rules"]["action"] == "ALLOW")


def _permission(rule: dict, asked: Asked) -> bool:
    [(kind, value)] = rule.items()
    match kind:
        case "any":
            return value
        case "and_rules":
            return all(_permission(each, asked) for each in value["rules"])
        case "or_rules":
            return any(_permission(each, asked) for each in value["rules"])
        case "not_rule":
            return not _permission(value, asked)
        case "header":
            return _header(value, {":method": asked.method, ":authority": asked.host})
        case "url_path":
            return _matches(value["path"], asked.path)
        case "destination_port":
            return value == asked.port
    raise AssertionError(kind)


def _envoy_principal(rule: dict, asked: Asked) -> bool:
    [(kind, value)] = rule.items()
    match kind:
        case "any":
            return value
        case "and_ids":
            return all(_envoy_principal(each, asked) for each in value["ids"])
        case "or_ids":
            return any(_envoy_principal(each, asked) for each in value["ids"])
        case "not_id":
            return not _envoy_principal(value, asked)
        case "header":
            return _header(value, asked.headers)
        case "custom":
            return asked.identity is not None and _matches(value["typed_config"]["san_matcher"]["matcher"], asked.identity)
        case "sourced_metadata":
            found: Any = {"payload": asked.claims or {}}
            for segment in value["metadata_matcher"]["path"]:
                found = found.get(segment["key"]) if isinstance(found, dict) else None
            return found is not None and _value(value["metadata_matcher"]["value"], found)
    raise AssertionError(kind)


def _value(matcher: dict, found: Any) -> bool:
    [(kind, inner)] = matcher.items()
    if kind == "string_match":
        return isinstance(found, str) and _matches(inner, found)
    if kind == "list_match":
        return isinstance(found, list) and any(_value(inner["one_of"], each) for each in found)
    return any(_value(each, found) for each in inner["value_matchers"])


def _header(matcher: dict, headers: dict[str, str]) -> bool:
    value = headers.get(matcher["name"].lower())
    if "present_match" in matcher:
        return value is not None
    return value is not None and _matches(matcher["string_match"], value)


def _matches(matcher: dict, value: str) -> bool:
    wanted = dict(matcher)
    lower = wanted.pop("ignore_case", False)
    [(kind, pattern)] = wanted.items()
    if kind == "safe_regex":
        return re.fullmatch(pattern["regex"], value) is not None
    if lower:
        pattern, value = pattern.lower(), value.lower()
    return {"exact": str.__eq__, "prefix": str.startswith, "suffix": str.endswith}[kind](value, pattern)


# Policies and requests that often have to do with each other

_NAMESPACES, _ACCOUNTS = ("one", "two"), ("red", "blue")
IDENTITIES = [f"spiffe://cluster.local/ns/{namespace}/sa/{account}" for namespace in _NAMESPACES for account in _ACCOUNTS]
_PATHS, _METHODS, _HOSTS = ("/", "/v2", "/v2/models", "/v2/models/x", "/metrics"), ("GET", "POST"), ("a.b", "A.B", "c.b")
_CLAIMS = ("incident", "cpu", "in", "x")


def patterns(*values: str) -> st.SearchStrategy[str]:
    """Each value, its beginnings and endings with a star, and the star alone."""
    cut = st.tuples(st.sampled_from(values), st.integers(1, 30))
    return st.one_of(
        st.sampled_from(values), st.just("*"), cut.map(lambda pair: f"{pair[0][: pair[1]]}*"), cut.map(lambda pair: f"*{pair[0][-pair[1]:]}"),
    )


def _some(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(values, min_size=1, max_size=2, unique=True)


def _entry(**kinds: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, list[str]]]:
    fields = {name: _some(kind) for name, kind in kinds.items()}
    fields |= {f"not{name[0].upper()}{name[1:]}": values for name, values in fields.items()}
    return st.fixed_dictionaries({}, optional=fields).filter(bool)


_principals = patterns(*(identity.removeprefix("spiffe://") for identity in IDENTITIES))
_tokens = patterns("https://i.example/red", "https://i.example/blue", "other/red")
_namespaces = st.sampled_from(["one", "two", "o*", "*o", "t*o"])
_ports = st.sampled_from(["8080", "9090"])
_source = _entry(principals=_principals, namespaces=_namespaces, requestPrincipals=_tokens)
_operation = _entry(paths=patterns(*_PATHS), methods=patterns(*_METHODS), hosts=patterns(*_HOSTS), ports=_ports)
_keys = {
    "source.principal": _principals, "source.namespace": _namespaces, "request.headers[X-Team]": patterns("red", "blue"), "destination.port": _ports,
    "request.auth.principal": _tokens, "request.auth.audiences": patterns(*_CLAIMS), "request.auth.claims[groups]": patterns(*_CLAIMS),
    "request.auth.claims[realm][role]": patterns(*_CLAIMS),
}
_when = st.sampled_from(sorted(_keys)).flatmap(
    lambda key: st.fixed_dictionaries({"key": st.just(key)}, optional={"values": _some(_keys[key]), "notValues": _some(_keys[key])}),
).filter(lambda condition: len(condition) > 1)
_rules = st.fixed_dictionaries({}, optional={
    "from": st.lists(st.fixed_dictionaries({"source": _source}), min_size=1, max_size=2),
    "to": st.lists(st.fixed_dictionaries({"operation": _operation}), min_size=1, max_size=2), "when": st.lists(_when, min_size=1, max_size=2),
})
policies = st.lists(
    st.fixed_dictionaries({}, optional={"action": st.sampled_from(["ALLOW", "DENY"]), "rules": st.lists(_rules, max_size=2)}), max_size=3,
).map(lambda specs: [
    {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": f"p{position}", "namespace": "models-network"}, "spec": spec}
    for position, spec in enumerate(specs)
])
_claim_values = st.one_of(st.sampled_from(_CLAIMS), st.lists(st.sampled_from(_CLAIMS), max_size=2), st.just(3))
requests = st.builds(
    Asked, identity=st.sampled_from([*IDENTITIES, None]), method=st.sampled_from(_METHODS), path=st.sampled_from(_PATHS), host=st.sampled_from(_HOSTS),
    port=st.sampled_from([8080, 9090]), headers=st.fixed_dictionaries({}, optional={"x-team": st.sampled_from(["red", "blue", "green"])}),
    claims=st.none() | st.fixed_dictionaries({}, optional={
        "iss": st.sampled_from(["https://i.example", "other"]), "sub": st.sampled_from(_ACCOUNTS), "aud": _claim_values, "groups": _claim_values,
        "realm": st.fixed_dictionaries({}, optional={"role": _claim_values}),
    }),
)
