"""RequestAuthentication: whose tokens (JWT) a workload takes, and by which keys they are checked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from presage.local.mesh.kinds.names import Name, Note, whole_spec
from presage.local.mesh.kinds.selection import Selection, read_selection
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

JWKS = "plane.presage/jwks"  # annotation: the file of the state directory that stands for every jwksUri of the object

_PRIVATE = {"d", "p", "q", "k"}  # members of a JWK that only its owner may have


@dataclass(frozen=True)
class JwtRule:
    """Tokens of one issuer. keys: the JWK set as text. headers: (name, prefix); without headers, parameters and cookies, a token
    is looked for as Istio does: `Authorization: Bearer`, then the parameter access_token. claim_headers: (header, claim)."""

    issuer: str
    audiences: tuple[str, ...]
    keys: str
    headers: tuple[tuple[str, str], ...]
    parameters: tuple[str, ...]
    cookies: tuple[str, ...]
    forward: bool
    payload_header: str
    claim_headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RequestAuthentication:
    """An invalid token is refused with 401; none at all is left to the AuthorizationPolicies."""

    name: Name
    selection: Selection
    rules: tuple[JwtRule, ...]


def read_request_authentication(manifest: Manifest, state: Path, note: Note) -> RequestAuthentication:
    """state: where the files of annotation plane.presage/jwks lie; they are read here. Raises FieldError."""
    spec = whole_spec(manifest)
    selection = read_selection(spec, manifest)
    file = (manifest["metadata"].get("annotations") or {}).get(JWKS)
    rules = tuple(_read_rule(rule, file, state, note, manifest) for rule in spec.each("jwtRules"))
    spec.finish()
    return RequestAuthentication(Name.of(manifest), selection, rules)


def _read_rule(fields: Fields, file: str | None, state: Path, note: Note, manifest: Manifest) -> JwtRule:
    issuer, audiences = fields.take("issuer", str), fields.texts("audiences")
    inline, uri = fields.optional("jwks", str), fields.optional("jwksUri", str)
    if fields.optional("timeout", str) is not None:
        note("RequestAuthentication timeout: keys come from a file, nothing is fetched", label(manifest))
    headers = tuple(_read_header(header) for header in fields.each("fromHeaders"))
    parameters, cookies = fields.texts("fromParams"), fields.texts("fromCookies")
    forward, payload = fields.take("forwardOriginalToken", bool, False), fields.take("outputPayloadToHeader", str, "")
    claims = tuple(_read_claim(claim) for claim in fields.each("outputClaimToHeaders"))
    fields.finish()
    keys = inline if inline is not None else _keys_of(fields, uri, file, state)
    _require_public(fields, keys)
    return JwtRule(issuer, audiences, keys, headers, parameters, cookies, forward, payload, claims)


def _keys_of(fields: Fields, uri: str | None, file: str | None, state: Path) -> str:
    if uri is None:
        raise FieldError(fields.place, fields.path, "names no keys. Write jwks, or jwksUri.")
    if file is None:
        fields.refuse("jwksUri", f"is {uri}, and nothing is fetched on the plane. Annotate the object with {JWKS}: FILE, a file of the state directory.")
    path = (state / str(file)).resolve()
    if not path.is_relative_to(state.resolve()):
        raise FieldError(fields.place, f"metadata.annotations[{JWKS}]", f"is {file!r}, outside the state directory. Name a file inside it.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        problem = f"is {file!r}, and the state directory holds no such file. Put the key set there."
        raise FieldError(fields.place, f"metadata.annotations[{JWKS}]", problem) from None


def _require_public(fields: Fields, keys: str) -> None:
    """Raise FieldError where the text is no JWK set, or holds what must never leave its owner."""
    try:
        document = json.loads(keys)
        found = document["keys"]
        private = [key.get("kid", "without kid") for key in found if _PRIVATE & set(key) or key.get("kty") == "oct"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise FieldError(fields.place, fields.path, 'has keys that are no JWK set. Write JSON like {"keys": […]}.') from None
    if not found:
        raise FieldError(fields.place, fields.path, "has a JWK set without keys: no token could ever pass. Put the issuer's public key there.")
    if private:
        raise FieldError(fields.place, fields.path, f"has a private or symmetric key ({', '.join(private)}) in its JWK set. Leave public keys only.")


def _read_header(fields: Fields) -> tuple[str, str]:
    found = fields.take("name", str), fields.take("prefix", str, "")
    fields.finish()
    return found


def _read_claim(fields: Fields) -> tuple[str, str]:
    found = fields.take("header", str), fields.take("claim", str)
    fields.finish()
    return found


def tokens_for(policies: tuple[RequestAuthentication, ...], namespace: str, labels: Mapping[str, str]) -> list[JwtRule]:
    """The rules that hold for one workload, by issuer."""
    found = [rule for policy in policies if policy.selection.finds(namespace, labels) for rule in policy.rules]
    return sorted(found, key=lambda rule: rule.issuer)
