"""Pull requests, against a server that answers as a forge's documentation says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from presage.errors import InputError, StateError
from presage.release.forge import Forge

BRANCH = "release/production.models-network.incident-7.raise"


class _Forge(BaseHTTPRequestHandler):
    """Documented answers: 201 created, 422 with errors where one is open already, 401 without a token, 404 for a repository that it does not show."""

    def do_GET(self):
        if self._refused():
            return
        path = urlsplit(self.path)
        if path.path.endswith("/pulls"):
            head = parse_qs(path.query)["head"][0].partition(":")[2]
            self._answer(200, [one for one in self.server.requests if one["head"]["ref"] == head and one["state"] == "open"])
        else:
            self._answer(200, self.server.requests[int(path.path.rpartition("/")[2]) - 1])

    def do_POST(self):
        if self._refused():
            return
        sent = self._sent()
        if self.path.endswith("/comments"):
            self.server.comments.append(sent["body"])
            self._answer(201, {"id": 1})
            return
        if any(one["head"]["ref"] == sent["head"] and one["state"] == "open" for one in self.server.requests):
            message = f"A pull request already exists for team:{sent['head']}."
            self._answer(422, {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "code": "custom", "message": message}]})
            return
        number = len(self.server.requests) + 1
        made = {"number": number, "html_url": f"http://forge/team/presage/pull/{number}", "state": "open", "merged": False, "head": {"ref": sent["head"]}, **{
            key: sent[key] for key in ("title", "body")}}  # fmt: skip
        self.server.requests.append(made)
        self._answer(201, made)

    def do_PATCH(self):
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


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Forge) as server:
        server.requests, server.comments = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def forge(server, tmp_path):
    token = tmp_path / "token"
    token.write_text("good\n")
    return Forge(f"http://127.0.0.1:{server.server_address[1]}/api", "team/presage", token)


def test_a_step_is_one_request_however_often_it_is_opened(forge, server):
    first = forge.open(BRANCH, "incident:7 raise", "gets 25 percent of the requests")
    again = forge.open(BRANCH, "incident:7 raise", "gets 25 percent of the requests")
    assert first == again and len(server.requests) == 1 and first.url.endswith("/pull/1") and not first.merged
    assert server.requests[0]["title"] == "incident:7 raise"


def test_a_request_that_is_not_wanted_any_more_is_closed_and_says_why(forge, server):
    made = forge.open(BRANCH, "incident:7 raise", "")
    forge.close(made.number, "fails more often than the stable release")
    assert forge.look(made.number).state == "closed" and server.comments == ["fails more often than the stable release"]
    assert forge.find(BRANCH) is None
    assert forge.open(BRANCH, "incident:7 raise", "").number == 2


def test_a_merged_request_is_known_as_such(forge, server):
    made = forge.open(BRANCH, "incident:7 raise", "")
    server.requests[0].update(state="closed", merged=True)
    assert forge.look(made.number).merged


def test_what_a_forge_refuses_is_said_in_its_words(forge, tmp_path):
    forge.token.write_text("bad")
    with pytest.raises(StateError, match=r"401: Bad credentials.*right to write pull requests"):
        forge.open(BRANCH, "t", "b")
    forge.token.write_text("good")
    with pytest.raises(StateError, match="404: Not Found"):
        Forge(forge.api, "team/other", forge.token).open(BRANCH, "t", "b")
    with pytest.raises(StateError, match="does not answer"):
        Forge("http://127.0.0.1:9/api", "team/presage", forge.token).open(BRANCH, "t", "b")
    with pytest.raises(InputError, match="token cannot be read"):
        Forge(forge.api, "team/presage", tmp_path / "absent").open(BRANCH, "t", "b")


def test_a_forge_is_asked_over_https_alone(tmp_path):
    with pytest.raises(InputError, match="https alone"):
        Forge("http://forge.example/api", "team/presage", tmp_path)
    with pytest.raises(InputError, match="OWNER/NAME"):
        Forge("https://forge.example/api", "presage", tmp_path)
