"""A forge: pull requests by HTTP, as GitHub's and Gitea's documentation says, over a real bare repository that its merges change.

    with running_forge(folder, checkout) as forge:
        Forge.of(forge.url, forge.token)          # remote: forge.bare
        forge.merge(1, "squash")
        forge.protect()                           # from now on nobody pushes to main
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from builders.repositories import Checkout

_HOOK = '#!/bin/sh\ncase "$1" in refs/heads/main) echo "protected branch: use a pull request" >&2; exit 1;; esac\n'


class LocalForge(ThreadingHTTPServer):
    """finds: whether it filters by `head`, as GitHub does; Gitea gives everything, page by page."""

    def __init__(self, bare: Path, token: Path, *, finds: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.bare, self.token, self.finds = bare, token, finds
        self.requests: list[dict[str, Any]] = []
        self.comments: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/repos/team/presage"

    @property
    def open_ones(self) -> list[str]:
        return [one["head"]["ref"] for one in self.requests if one["state"] == "open"]

    def git(self, *words: str, send: str = "") -> str:
        return subprocess.run(["git", *words], cwd=self.bare, input=send, capture_output=True, text=True, check=True).stdout.strip()

    def protect(self) -> None:
        hook = self.bare / "hooks" / "update"
        hook.write_text(_HOOK)
        hook.chmod(0o755)

    def merge(self, number: int, how: str = "merge") -> str:
        """As a person's click does; the commit that main is at then."""
        found = self.requests[number - 1]
        main, side = (self.git("rev-parse", f"refs/heads/{name}") for name in ("main", found["head"]["ref"]))
        parents = ["-p", main, "-p", side] if how == "merge" else ["-p", main]
        person = ["-c", "user.name=approver", "-c", "user.email=approver@presage.invalid"]
        made = self.git(*person, "commit-tree", self.git("merge-tree", "--write-tree", main, side).split("\n")[0], *parents, "-F", "-", send=found["title"])
        self.git("update-ref", "refs/heads/main", made, main)
        found.update(state="closed", merged=True)
        return made


class _Answers(BaseHTTPRequestHandler):
    """Documented answers: 201 created, 409 or 422 where one is open already, 401 without a token, 404 for a repository that it does not show."""

    server: LocalForge

    def do_GET(self):
        if self._refused():
            return
        asked = urlsplit(self.path)
        if not asked.path.endswith("/pulls"):
            self._answer(200, self.server.requests[int(asked.path.rpartition("/")[2]) - 1])
            return
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        head = query.get("head", "").partition(":")[2] if self.server.finds else ""
        found = [one for one in reversed(self.server.requests) if query["state"] in ("all", one["state"]) and head in ("", one["head"]["ref"])]
        many, page = (50 if self.server.finds else 3), int(query.get("page", 1))
        self._answer(200, found[(page - 1) * many : page * many])

    def do_POST(self):
        if self._refused():
            return
        sent = self._sent()
        if self.path.endswith("/comments"):
            self.server.comments.append(sent["body"])
            self._answer(201, {"id": 1})
        elif sent["head"] in self.server.open_ones:
            message = f"A pull request already exists for team:{sent['head']}."
            body = {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": message}]}
            self._answer(*((422, body) if self.server.finds else (409, {"message": message})))
        else:
            number = len(self.server.requests) + 1
            head = {"ref": sent["head"], "repo": {"full_name": "team/presage"}}
            made = {"number": number, "html_url": f"http://forge/team/presage/pull/{number}", "state": "open", "merged": False, "head": head}
            self.server.requests.append({**made, "title": sent["title"], "body": sent["body"]})
            self._answer(201, self.server.requests[-1])

    def do_PATCH(self):
        if not self._refused():
            found = self.server.requests[int(self.path.rpartition("/")[2]) - 1]
            found.update(self._sent())
            self._answer(200, found)

    def _refused(self):
        if self.headers.get("authorization") != "Bearer good":
            self._answer(401, {"message": "Bad credentials"})
        elif not self.path.startswith("/api/repos/team/presage/"):
            self._answer(404, {"message": "Not Found"})
        else:
            return False
        return True

    def _sent(self):
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def _answer(self, status, document):
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass


@contextmanager
def running_forge(folder: Path, source: Checkout, *, finds: bool = True) -> Iterator[LocalForge]:
    """With the checkout's main; folder: where its repository and its token lie."""
    bare, token = folder / "forge.git", folder / "token"
    source.git("clone", "--quiet", "--bare", ".", str(bare))
    token.write_text("good\n")
    with LocalForge(bare, token, finds=finds) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
