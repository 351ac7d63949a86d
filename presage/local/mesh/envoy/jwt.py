"""RequestAuthentications as Envoy's JWT filter: an invalid token is refused, a missing one passes on to the access rules."""

from collections.abc import Sequence

from presage.local.mesh.envoy.documents import Config, typed
from presage.local.mesh.kinds.tokens import JwtRule

_JWT = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def token_filters(rules: Sequence[JwtRule]) -> list[Config]:
    """The filter for the rules of one workload; without rules, none."""
    if not rules:
        return []
    providers = {f"origins-{position}": _provider(rule) for position, rule in enumerate(rules)}
    optional = [{"requires_any": {"requirements": [{"provider_name": name}, {"allow_missing": {}}]}} for name in providers]
    if len(optional) == 1:
        requirement: Config = optional[0]
    else:
        # Issuers that look in the same place: one of them must know the token; or each finds its own, or none.
        either = [{"provider_name": name} for name in providers]
        requirement = {"requires_any": {"requirements": [*either, {"requires_all": {"requirements": optional}}]}}
    settings = typed(_JWT, providers=providers, rules=[{"match": {"prefix": "/"}, "requires": requirement}], bypass_cors_preflight=True)
    return [{"name": "envoy.filters.http.jwt_authn", "typed_config": settings}]


def _provider(rule: JwtRule) -> Config:
    provider: Config = {
        "issuer": rule.issuer, "audiences": list(rule.audiences), "local_jwks": {"inline_string": rule.keys}, "forward": rule.forward,
        "payload_in_metadata": "payload", "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
    }
    if rule.headers:
        provider["from_headers"] = [{"name": name, "value_prefix": prefix} for name, prefix in rule.headers]
    if rule.parameters:
        provider["from_params"] = list(rule.parameters)
    if rule.cookies:
        provider["from_cookies"] = list(rule.cookies)
    if rule.payload_header:
        provider["forward_payload_header"] = rule.payload_header
    if rule.claim_headers:
        provider["claim_to_headers"] = [{"header_name": header, "claim_name": claim} for header, claim in rule.claim_headers]
    return provider
