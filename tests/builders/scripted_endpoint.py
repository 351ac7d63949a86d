"""An HTTP endpoint that answers by a script: for what a healthy path never does (429 with Retry-After, silence, another program's page)."""

import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Script = Callable[[str, str, dict[str, str], bytes], tuple[int, bytes, dict[str, str]] | None]


class ScriptedEndpoint:
    """script: (method, path, headers, body) → (status, body, headers), None = silence until the endpoint closes. asked: what came, in order."""

    def __init__(self, script: Script) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.script = script
        closed, outer = threading.Event(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                asked = (self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                outer.asked.append(asked)
                said = outer.script(*asked)
                if said is None:
                    closed.wait(30)
                    self.close_connection = True
                    return
                status, content, headers = said
                self.send_response(status)
                for name, value in {"content-type": "application/json", "content-length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:  # a client that went away is what some tests are about
                pass

        self._closed = closed
        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ScriptedEndpoint":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with suppress(OSError):
            self._server.shutdown()
            self._server.server_close()
