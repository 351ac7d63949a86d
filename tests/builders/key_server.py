"""Serves a JSON Web Key Set over TLS, as a cluster's API server does."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from presage.local.authority import Authority


@contextmanager
def key_server(folder: Path, jwks: bytes) -> Iterator[tuple[str, Path]]:
    """(URL, file of its authority)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/jwk-set+json")
            self.end_headers()
            self.wfile.write(jwks)

        def log_message(self, *_):
            pass

    folder.mkdir()
    for name, content in Authority.open(folder / "authority").issue(["localhost"], ["127.0.0.1"]).items():
        (folder / name).write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.server_port}/openid/v1/jwks", folder / "ca.crt"
    finally:
        server.shutdown()
        server.server_close()
