"""A TLS endpoint that asks for a client's certificate, in front of a plain HTTP server: an authority and two certificates of its own."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from builders.certificates import Certificates


class TlsFront:
    """address: `https://127.0.0.1:PORT`; certificate, key: a client's; ca: who vouches for both sides."""

    def __init__(self, behind: str, folder: Path) -> None:
        self._behind = (urlsplit(behind).hostname, urlsplit(behind).port)
        made = Certificates(folder)
        self.ca, (self.certificate, self.key) = made.ca, made.client
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca))
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(*made.server)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "TlsFront":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as outside, socket.create_connection(self._behind) as inside:
            back = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
            back.start()
            _copy(outside, inside)
            back.join(10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
