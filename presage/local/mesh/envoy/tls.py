"""Mutual TLS: certificates from files that are read again whenever their folder changes, so that a rotation restarts nothing.

A certificate's folder holds tls.crt, tls.key, ca.crt, and crl.pem with a current revocation list of every authority in ca.crt: without
one, or with a stale one, nobody is trusted.
"""

from collections.abc import Iterable
from pathlib import Path

from presage.local.mesh.envoy.documents import Config, source, typed
from presage.local.mesh.pods import TRUST_DOMAIN

CERTIFICATE, KEY, AUTHORITIES, REVOCATIONS = "tls.crt", "tls.key", "ca.crt", "crl.pem"
WORKLOAD = "workload"  # the secrets of the Pod's own identity in the mesh

_TLS = "envoy.extensions.transport_sockets.tls.v3"
_PARAMETERS = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}


def secrets(name: str, folder: Path) -> dict[str, Config]:
    """The certificate and the trust that lie in `folder`, by the names that `downstream` and `upstream` ask for."""
    watched = {"watched_directory": {"path": str(folder)}}
    certificate = {"certificate_chain": {"filename": str(folder / CERTIFICATE)}, "private_key": {"filename": str(folder / KEY)}, **watched}
    trust = {"trusted_ca": {"filename": str(folder / AUTHORITIES)}, "crl": {"filename": str(folder / REVOCATIONS)}, **watched}
    return {
        f"{name}-certificate": {"name": f"{name}-certificate", "tls_certificate": certificate},
        f"{name}-trust": {"name": f"{name}-trust", "validation_context": trust},
    }


def downstream(name: str, *, mutual: bool, identities: str | None = None) -> Config:
    """The side that is called. mutual: each caller must show a certificate; identities: a prefix that its URI must have."""
    context: Config = {
        "require_client_certificate": mutual,
        # A resumed session would not look at revocations again.
        "disable_stateless_session_resumption": True, "disable_stateful_session_resumption": True,
        "common_tls_context": _common(name, ["h2", "http/1.1"], [{"prefix": identities}] if identities else [], checks=mutual),
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(f"{_TLS}.DownstreamTlsContext", **context)}


def upstream(identities: Iterable[str], host: str, protocol: str) -> Config:
    """The side that calls, as this Pod, a server that must have one of these SPIFFE ids."""
    matchers = [{"exact": identity} for identity in identities]
    context = {"common_tls_context": _common(WORKLOAD, [protocol], matchers, checks=True), "sni": host}
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed(f"{_TLS}.UpstreamTlsContext", **context)}


def plain() -> Config:
    return {"name": "envoy.transport_sockets.raw_buffer", "typed_config": typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")}


def mesh_identities() -> str:
    """What every identity of this trust domain begins with."""
    return f"spiffe://{TRUST_DOMAIN}/"


def _common(name: str, protocols: list[str], matchers: list[Config], *, checks: bool) -> Config:
    common: Config = {
        "tls_params": _PARAMETERS, "alpn_protocols": protocols, "tls_certificate_sds_secret_configs": [_secret(f"{name}-certificate")],
    }
    if checks:
        common["combined_validation_context"] = {
            "default_validation_context": {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": matcher} for matcher in matchers]},
            "validation_context_sds_secret_config": _secret(f"{name}-trust"),
        }
    return common


def _secret(name: str) -> Config:
    return {"name": name, "sds_config": source("secrets", name)}
