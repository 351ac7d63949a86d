"""Which keys a Secret or ConfigMap will have, as far as that is known from the manifests."""

import orjson

from presage.manifests.verify.subjects import Object

MADE_BY, FILES, CERTIFICATE = "presage.io/made-by", "plane.presage/files", "plane.presage/certificate"
_TLS = ("tls.crt", "tls.key")


def known_keys(found: Object) -> set[str] | None:
    """None where only the running system knows: files of the plane's state, a secret as Vault holds it, an object that is filled by hand."""
    keys = {*(found.manifest.get("data") or {}), *(found.manifest.get("stringData") or {}), *(found.manifest.get("binaryData") or {})}
    if made_by := found.annotations.get(MADE_BY):
        listed = set(orjson.loads(made_by)["keys"])
        return listed or None
    if FILES in found.annotations:
        return None
    if CERTIFICATE in found.annotations:
        return {*keys, *_TLS, "ca.crt"}
    return keys or None
