"""Who called: the SPIFFE id in `x-forwarded-client-cert` (XFCC), where the only way to the program is the Pod's own sidecar.

Each proxy that checked a certificate adds an element at the end, so the last one is the sidecar's word on whoever reached the Pod, and
what stands before it is that caller's own text. It is believed only where that caller is the gateway, and there the element before the
gateway's own is the client that the gateway checked.

    caller(b"By=spiffe://…/sa/incident;Hash=3f…;URI=spiffe://…/sa/checkout", gateway)     "spiffe://…/sa/checkout"
    certificate(the same, gateway)                                                        "3f…"
"""

import re

from presage.errors import RequestRefused

HEADER = b"x-forwarded-client-cert"
UNNAMED = ""
"""Of a caller whose certificate carries no SPIFFE id, or of whom no proxy says anything."""

Element = list[tuple[str, str]]

# key=value;key=value,key=value… A quoted value may hold anything, `"` and `\` behind a `\`.
_PAIR = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)=(?:"((?:[^"\\]|\\.)*+)"|([^",;]*+))(?:([,;])[ \t]*|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPIFFE = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)+")
_LONGEST_ID = 2048
_MOST_PAIRS = 64  # two proxies write a dozen


def parse_xfcc(header: bytes) -> list[Element]:
    """The elements in the order in which proxies added them, each its (key in lower case, value) in order.

    Raises RequestRefused(400, "client-identity") where the header is not written as Envoy writes it.
    """
    text = header.decode("latin-1")
    elements: list[Element] = [[]]
    position = 0
    for _ in range(_MOST_PAIRS):
        found = _PAIR.match(text, position)
        if found is None:
            part = text[position : position + 40]
            raise _refused(f"does not read on at character {position} ({part!r}): key=value is due")
        key, quoted, plain, separator = found.groups()
        elements[-1].append((key.lower(), plain if quoted is None else _ESCAPED.sub(r"\1", quoted)))
        position = found.end()
        if separator is None:
            return elements
        if separator == ",":
            elements.append([])
    raise _refused(f"has more than {_MOST_PAIRS} entries")


def caller(header: bytes, gateway: str) -> str:
    """The SPIFFE id of who called, UNNAMED where there is none. gateway: whose word on its own caller counts.

    Raises RequestRefused(400, "client-identity").
    """
    return _identity(_element(header, gateway))


def certificate(header: bytes, gateway: str) -> str:
    """SHA-256 of the certificate that the caller showed, 64 hexadecimal digits in lower case; "" where no proxy says it.

    Raises RequestRefused(400, "client-identity").
    """
    hashes = [value.lower() for key, value in _element(header, gateway) if key == "hash"]
    return hashes[0] if len(hashes) == 1 else ""


def _element(header: bytes, gateway: str) -> Element:
    """What the one proxy that is believed says of who called."""
    elements = parse_xfcc(header)
    return elements[-2] if len(elements) > 1 and _identity(elements[-1]) == gateway else elements[-1]


def _identity(element: Element) -> str:
    uris = [value for key, value in element if key == "uri"]
    if len(uris) > 1:  # no workload has two names; a name with a separator in it would look like this
        raise _refused(f"has an element with {len(uris)} URIs; a certificate of the mesh has one")
    if not uris or len(uris[0]) > _LONGEST_ID or _SPIFFE.fullmatch(uris[0]) is None:
        return UNNAMED
    return uris[0]


def _refused(problem: str) -> RequestRefused:
    return RequestRefused(400, "client-identity", f"x-forwarded-client-cert {problem}. Leave the header to the proxies.")
