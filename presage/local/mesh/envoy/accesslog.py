"""The access log: one JSON object a line, for every answer and every refusal, of requests and of connections that never became one."""

from pathlib import Path

from presage.local.mesh.envoy.documents import Config, typed

# Field → what Envoy writes there. The path is the one that was judged, without its query, which may hold a token; the principal is the
# URI of the caller's certificate; the client is who is connected, not whom a header names.
_REQUEST = {
    "time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%PATH(NQ:PATH)%", "host": "%REQ(:AUTHORITY)%", "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%", "details": "%RESPONSE_CODE_DETAILS%", "principal": "%DOWNSTREAM_PEER_URI_SAN%", "duration": "%DURATION%",
    "request_id": "%REQ(X-REQUEST-ID)%", "upstream": "%UPSTREAM_HOST%", "cluster": "%UPSTREAM_CLUSTER%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "upstream_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "bytes_received": "%BYTES_RECEIVED%", "bytes_sent": "%BYTES_SENT%",
}
_CONNECTION = {
    "time": "%START_TIME%", "refused": "connection", "details": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "flags": "%RESPONSE_FLAGS%",
    "reason": "%RESPONSE_CODE_DETAILS%", "sni": "%REQUESTED_SERVER_NAME%", "principal": "%DOWNSTREAM_PEER_URI_SAN%", "serial": "%DOWNSTREAM_PEER_SERIAL%",
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "address": "%DOWNSTREAM_LOCAL_ADDRESS%",
}
# A permissive port looks whether a caller speaks TLS, and takes plain text for a failure of it: no refusal where plain text is let in.
PLAIN = "plain"  # the name of a filter chain that does
_FAILED = f"connection.transport_failure_reason != '' && xds.filter_chain_name != '{PLAIN}'"


def requests(path: Path) -> list[Config]:
    """Of each request, once it is answered."""
    return [_file(path, _REQUEST)]


def connections(path: Path) -> list[Config]:
    """Of each connection that ended before it could carry a request: no certificate or a wrong one, no TLS, a name nobody answers to."""
    failed = typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=_FAILED)
    either = [
        {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": failed}}, {"response_flag_filter": {}},
    ]
    return [{**_file(path, _CONNECTION), "filter": {"or_filter": {"filters": either}}}]


def _file(path: Path, fields: dict[str, str]) -> Config:
    log = typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", path=str(path), log_format={"json_format": fields})
    return {"name": "envoy.access_loggers.file", "typed_config": log}
