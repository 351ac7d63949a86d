"""Where a forge keeps the branch, a step is a pull request: the commit goes to a branch of its own, and whoever owns main merges it.

    forge = Forge("https://forge.example/api/v3", "team/presage", token_file)
    forge.open(branch="release/production.models-network.incident-7.raise", title=…, body=…)     # its URL; the same one if it is open already

Speaks what GitHub and Gitea share: GET and POST /repos/OWNER/NAME/pulls, POST …/issues/N/comments, PATCH …/pulls/N. The branch's name follows from the
step, so two judges, or one that was killed and started again, come to one request and not to two.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from presage.errors import InputError, StateError

_SECONDS = 20.0
_TAKEN = 422
"""What a forge answers where a pull request of that branch is open already."""


@dataclass(frozen=True)
class Request:
    """One pull request. merged: None while it is open."""

    number: int
    url: str
    state: str
    merged: bool


@dataclass(frozen=True)
class Forge:
    """api: where its API begins; name: OWNER/NAME; token: a file, read at each call; base: the branch that requests go into."""

    api: str
    name: str
    token: Path
    base: str = "main"

    def __post_init__(self) -> None:
        parts = urlsplit(self.api)
        if parts.scheme != "https" and (parts.hostname or "") not in ("127.0.0.1", "localhost"):
            raise InputError(f"{self.api[:80]!r}: a forge is asked over https alone. Write https://HOST/….")
        if self.name.count("/") != 1 or not all(self.name.split("/")):
            raise InputError(f"{self.name[:80]!r} is no repository of a forge. Write OWNER/NAME.")

    def open(self, branch: str, title: str, body: str) -> Request:
        """Open one, or find the one that is open. Raises StateError with the forge's own words."""
        sent = {"title": title, "body": body, "head": branch, "base": self.base}
        status, document = self._ask("POST", "/pulls", sent)
        if status == _TAKEN and (found := self.find(branch)) is not None:
            return found
        if status not in (200, 201):
            raise self._refused(f"a pull request of {branch}", status, document)
        return _request(document)

    def find(self, branch: str) -> Request | None:
        """The request of a branch that is open; None where there is none."""
        owner = self.name.partition("/")[0]
        status, document = self._ask("GET", f"/pulls?state=open&head={owner}:{branch}")
        if status != 200 or not isinstance(document, list):
            raise self._refused("its open pull requests", status, document)
        found = [one for one in document if one.get("head", {}).get("ref", branch) == branch]
        return _request(found[0]) if found else None

    def look(self, number: int) -> Request:
        """One as it is now."""
        status, document = self._ask("GET", f"/pulls/{number}")
        if status != 200:
            raise self._refused(f"pull request {number}", status, document)
        return _request(document)

    def close(self, number: int, because: str) -> None:
        """Close one that is not wanted any more, and say why in it."""
        self._ask("POST", f"/issues/{number}/comments", {"body": because})
        status, document = self._ask("PATCH", f"/pulls/{number}", {"state": "closed"})
        if status not in (200, 201):
            raise self._refused(f"closing pull request {number}", status, document)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        try:
            headers = {"authorization": f"Bearer {self.token.read_text().strip()}", "accept": "application/json"}
        except OSError as error:
            raise InputError(f"{self.token}: the forge's token cannot be read ({error.strerror}). Name its file.") from None
        url = f"{self.api.rstrip('/')}/repos/{self.name}{path}"
        try:
            answer = httpx2.request(method, url, json=body, headers=headers, timeout=_SECONDS, trust_env=False)
        except httpx2.HTTPError as error:
            raise StateError(f"{self.api} does not answer ({type(error).__name__}: {str(error)[:200]}). Try again.") from None
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, {"message": answer.text[:300]}

    def _refused(self, what: str, status: int, document: Any) -> StateError:
        said = document.get("message", "") if isinstance(document, dict) else ""
        errors = document.get("errors") if isinstance(document, dict) else None
        more = "; ".join(str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in errors) if isinstance(errors, list) else ""
        remedy = "Give the token the right to write pull requests" if status in (401, 403, 404) else "Look at the forge, then run again"
        return StateError(f"{self.api} refuses {what} ({status}: {' '.join(filter(None, (said, more)))[:400]}). {remedy}.")


def _request(document: Any) -> Request:
    try:
        url = str(document.get("html_url") or document["url"])
        return Request(int(document["number"]), url, str(document["state"]), bool(document.get("merged") or document.get("merged_at")))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StateError(f"a forge's answer is no pull request ({str(document)[:200]}). Is the address that of its API?") from None
