"""Access denials, read from the access logs of proxies: pure.

    denial = denial_of(line)              # one JSON object of an access log; None where nobody was denied anything
    groups.add(denial)                    # Groups: who, what and why, with how often

Envoy's own words decide (response code details, the reason why TLS failed), whatever the code is: a denied gRPC call is answered 200. What came from behind
is known by its code alone, and told once: by the gateway, which knows the client; by the sidecar only of whoever did not come through the gateway.
What others wrote (paths, names in certificates) is cut, never makes more than MOST groups, and takes no more than FEW of them of one caller.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
MOST = 32
"""Groups of one part of a log; what does not fit is counted together."""
FEW = 4
"""Of these, different paths of one caller for one reason, and different claims for one reason."""
NOBODY, UNNAMED, NAMELESS = "no certificate", "no identity", "a certificate without an identity"
CLAIMS = "claims "
"""Before an identity that nobody proved: its certificate does not hold."""
OTHERS, OTHER_PATHS, OTHER_CLAIMS = "others", "other paths", "other claims"
_LONGEST = 120
_BEHIND = (401, 403, 429)
_NO_RULE = "no rule of the connection allows it"
# Field → its names: as the plane's proxies write it, and as Istio's own JSON form has it.
_NAMES = {
    "code": ("code", "response_code"), "details": ("details", "response_code_details"), "principal": ("principal", "downstream_peer_uri_san"),
    "time": ("time", "start_time"), "cluster": ("cluster", "upstream_cluster"), "tls": ("downstream_transport_failure_reason",),
    "sni": ("sni", "requested_server_name"), "method": ("method",), "serial": ("serial", "downstream_peer_serial"),
}  # fmt: skip
_NO_CERTIFICATE = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no certificate was shown", "HTTP_REQUEST": "spoke without TLS", "WRONG_VERSION_NUMBER": "spoke without TLS",
}  # fmt: skip
_BAD_CERTIFICATE = {
    "certificate_has_expired": "the certificate has expired", "certificate_revoked": "the certificate was revoked",
    "CRL_has_expired": "the list of revoked certificates has expired", "unable_to_get_local_issuer": "the certificate is of another authority",
    "SAN_matcher": "the certificate names nobody known here", "CERTIFICATE_VERIFY_FAILED": "the certificate does not hold",
}  # fmt: skip
"""What a reason contains → what it means; the first that fits. Alerts are not here: by these the caller refused us."""


class Denial(NamedTuple):
    """time: as the log has it; who: the identity of the caller's certificate; what: method and path, or a connection."""

    time: str
    who: str
    what: str
    why: str


@dataclass
class Group:
    """Denials alike. first, last: their times."""

    who: str
    what: str
    why: str
    first: str
    last: str
    count: int = 0

    @property
    def kind(self) -> tuple[str, str, str]:
        return (self.who, self.what, self.why)


class Groups:
    """Alike together, in the order of their first ones; MOST kinds at most, what does not fit is counted as OTHERS.

    The same denials in the same order make the same groups.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def add(self, one: Denial) -> None:
        key = self._key(one.who, one.what, one.why)
        group = self._found.setdefault(key, Group(*key, one.time, one.time))
        group.count += 1
        group.last = one.time

    def copy(self) -> "Groups":
        made = Groups()
        made._found = {key: replace(group) for key, group in self._found.items()}
        return made

    def _key(self, who: str, what: str, why: str) -> tuple[str, str, str]:
        if (who, what, why) in self._found:
            return (who, what, why)
        if is_claim(who) and who not in (claims := {group.who for group in self._found.values() if group.why == why and is_claim(group.who)}):
            who = OTHER_CLAIMS if len(claims) >= FEW else who
        if len([group for group in self._found.values() if (group.who, group.why) == (who, why)]) >= FEW:
            what = OTHER_PATHS
        key = (who, what, why)
        return key if key in self._found or len(self._found) < MOST - 1 else (OTHERS, OTHERS, OTHERS)


def is_claim(who: str) -> bool:
    return who.startswith(CLAIMS)


def denial_of(line: Mapping[str, Any], gateway: str = GATEWAY) -> Denial | None:
    """From one line of an access log, of a request or of a connection that never carried one. gateway: its identity in the mesh."""
    is_request = bool(_get(line, "code") or _get(line, "method"))
    why = _why_request(line, gateway) if is_request else _why_connection(line)
    if why is None:
        return None
    principal = _text(_get(line, "principal"))
    if is_request:
        who, what = principal or UNNAMED, f"{_text(line.get('method'))} {_text(line.get('path')).partition('?')[0]}"
    else:
        who, what = _who_connected(line, principal, why), f"a connection to {_text(_get(line, 'sni')) or 'a port'}"
    return Denial(_text(_get(line, "time")), _cut(who), _cut(what), _cut(why))


def _who_connected(line: Mapping[str, Any], principal: str, why: str) -> str:
    """Where the certificate did not hold, what it says is a claim."""
    if why == _NO_RULE:
        return principal or UNNAMED
    if principal:
        return f"{CLAIMS}{principal}"
    return NAMELESS if why in _BAD_CERTIFICATE.values() or _get(line, "serial") else NOBODY


def _why_connection(line: Mapping[str, Any]) -> str | None:
    details = str(_get(line, "details") or "")
    if details.startswith("rbac_access_denied"):
        return _NO_RULE
    reason = f"{details} {_get(line, 'tls') or ''}"
    return None if "ALERT" in reason else next((words for part, words in (_NO_CERTIFICATE | _BAD_CERTIFICATE).items() if part in reason), None)


def _why_request(line: Mapping[str, Any], gateway: str) -> str | None:
    details, code = str(_get(line, "details") or ""), _get(line, "code")
    came_through = _get(line, "principal") == gateway
    if came_through and code in _BEHIND:
        return None  # the gateway's own line has that code, too, and the client's name
    if details.startswith("rbac_access_denied"):
        policy = _inside(details)
        return "no rule allows it" if policy in ("none", "") else f"the rule {policy} forbids it"
    if details.startswith("jwt_authn_access_denied"):
        return f"token: {_inside(details).replace('_', ' ') or 'refused'}"
    if "rate_limited" in details:
        return "over its limit"
    if details == "path_normalization_failed":
        return "its path hides where it leads"
    return _why_behind(line, code) if details == "via_upstream" and code in _BEHIND else None


def _why_behind(line: Mapping[str, Any], code: int) -> str | None:
    cluster = str(_get(line, "cluster") or "")
    # A Pod's own sidecar on its way out knows no certificate: the sidecar at the other end tells, with the Pod's name.
    if not cluster.startswith("inbound|") and not (cluster.startswith("outbound|") and _get(line, "principal")):
        return None
    if code == 429:  # sidecars limit nobody
        return "the program itself answered 429 (over a limit, or replayed)"
    return f"the program {'itself' if cluster.startswith('inbound|') else 'or its proxy'} answered {code}"


def _inside(details: str) -> str:
    found = re.search(r"[\[{](.*)[\]}]$", details)
    return found[1] if found else ""


def _get(line: Mapping[str, Any], field: str) -> Any:
    return next((line[name] for name in _NAMES[field] if line.get(name) not in (None, "", "-")), None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _cut(text: str) -> str:
    clean = "".join(mark if mark.isprintable() else "�" for mark in text.encode("utf-8", "replace").decode())
    return clean if len(clean) <= _LONGEST else f"{clean[:_LONGEST]} …"
