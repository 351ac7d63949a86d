"""Where a forge keeps the branch, a step is a pull request: the commit goes to a branch of its own, and whoever owns main merges it.

    forge = Forge.of("https://forge.example/api/v3/repos/team/presage", token_file)
    forge.open(branch="release/production.models-network.incident-7.03", title=…, body=…)     # its URL; the same one if it is open already

Speaks what GitHub and Gitea share: GET and POST /repos/OWNER/NAME/pulls, POST …/issues/N/comments, PATCH …/pulls/N. Which step is asked for in which
branch, and when no more, is said in `asking`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2

from presage.errors import InputError, StateError

_SECONDS = 20.0
_TAKEN = (409, 422)
"""What Gitea and GitHub answer where a pull request of that branch is open already."""
_PAGES = 40
"""Pages of pull requests that are looked through for a branch: Gitea has no question for one."""


@dataclass(frozen=True)
class Request:
    """One pull request. branch: that it brings; state: open or closed."""

    branch: str
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

    @classmethod
    def of(cls, url: str, token: Path, base: str = "main") -> "Forge":
        """url: of the repository in the forge's API, …/repos/OWNER/NAME. Raises InputError."""
        api, repos, name = url.rstrip("/").rpartition("/repos/")
        if not repos:
            raise InputError(f"{url[:120]!r} names no repository in a forge's API. Write https://HOST/…/repos/OWNER/NAME.")
        return cls(api, name, token, base)

    def open(self, branch: str, title: str, body: str) -> Request:
        """Open one, or find the one that is open. Raises StateError with the forge's own words."""
        sent = {"title": title, "body": body, "head": branch, "base": self.base}
        status, document = self._ask("POST", "/pulls", sent)
        if status in _TAKEN and (found := self.find(branch)) is not None and found.state == "open":
            return found
        if status not in (200, 201):
            raise self._refused(f"a pull request of {branch}", status, document)
        return _request(document)

    def find(self, branch: str) -> Request | None:
        """The newest request of a branch, whatever became of it; None where there never was one."""
        return next((one for one in self._list("all", branch) if one.branch == branch), None)

    def open_ones(self, prefix: str) -> list[Request]:
        """Those that are open and whose branch begins so."""
        return [one for one in self._list("open") if one.branch.startswith(prefix)]

    def _list(self, state: str, branch: str | None = None) -> Iterator[Request]:
        """The newest first. branch: a forge that can, leaves out the others."""
        only = f"&head={quote(self.name.partition('/')[0])}:{quote(branch)}" if branch else ""
        for page in range(1, _PAGES + 1):
            status, document = self._ask("GET", f"/pulls?state={state}&per_page=50&limit=50&page={page}{only}")
            if status != 200 or not isinstance(document, list):
                raise self._refused("its pull requests", status, document)
            if not document:
                return
            yield from (_request(one) for one in document if self._is_own(one))

    def _is_own(self, document: Any) -> bool:
        """Whether it comes from a branch of this repository: a fork may have one of the same name."""
        source = document.get("head", {}).get("repo") if isinstance(document, dict) else None
        return not isinstance(source, dict) or str(source.get("full_name", self.name)).lower() == self.name.lower()

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
        merged = bool(document.get("merged") or document.get("merged_at"))
        return Request(str(document["head"]["ref"]), int(document["number"]), url, str(document["state"]), merged)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StateError(f"a forge's answer is no pull request ({str(document)[:200]}). Is the address that of its API?") from None
