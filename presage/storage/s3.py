"""A bucket of an object store as storage, over HTTPS, with nothing but the few requests that a release store needs.

    PRESAGE_S3_ENDPOINT      https://s3.object-store.svc:8333; default: AWS in the region
    PRESAGE_S3_REGION        default us-east-1
    PRESAGE_S3_CREDENTIALS   folder with the files access_key, secret_key (and session_token, if they are temporary), read at each request
    PRESAGE_S3_CA            file of the authorities that may vouch for the endpoint; default: the system's

The store must honour If-Match and If-None-Match on PUT (AWS, SeaweedFS, MinIO, Ceph do): publishers race by them. A general S3
client was not taken: boto3 is slow to start, and obstore resolves names outside Python, so presage.hosts could not reach it.
"""

import hashlib
import io
import re
import secrets
import ssl
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2

from presage.storage.signature import Credentials, canonical_query, signed_headers
from presage.storage.storage import Changed, StorageError, Stored, Unreadable, Versioned

_TRIES = 4
_FIRST_WAIT = 0.1  # seconds; doubled at each try
_DEADLINE = 300.0  # seconds that one object may take: a peer that drips bytes holds nobody for ever
_BUSY = {408, 429, 500, 502, 503, 504}
_ERROR_LIMIT = 64 << 10
_PAGE, _PAGE_LIMIT = 500, 4 << 20  # keys that one listing names, and its bytes at most
_FRESH = timedelta(hours=12)  # an object that is older is written again where it must not seem left over
_NEVER = datetime.min.replace(tzinfo=UTC)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_CREDENTIALS_REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "ExpiredToken", "InvalidToken"}


@dataclass(frozen=True)
class S3Settings:
    """Where the object store is, and as whom to ask it."""

    endpoint: str
    """Scheme, host and port. Plain http is for this machine's own loopback alone."""
    region: str
    credentials: Path
    """Folder of the key files."""
    ca: Path | None = None
    """Authorities that may vouch for the endpoint; None: the system's."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "S3Settings":
        """Raises StorageError where the credentials' folder is not named, or the endpoint would be asked without TLS."""
        region = environment.get("PRESAGE_S3_REGION") or "us-east-1"
        endpoint = (environment.get("PRESAGE_S3_ENDPOINT") or f"https://s3.{region}.amazonaws.com").rstrip("/")
        parts = urlsplit(endpoint)
        private = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not private or not parts.hostname or parts.path or parts.query:
            raise StorageError(f"PRESAGE_S3_ENDPOINT is {endpoint[:200]!r}. Write https://HOST or https://HOST:PORT.")
        folder = environment.get("PRESAGE_S3_CREDENTIALS")
        if not folder:
            raise StorageError("PRESAGE_S3_CREDENTIALS is not set. Name the folder with the files access_key and secret_key.")
        ca = environment.get("PRESAGE_S3_CA")
        return cls(endpoint, region, Path(folder), Path(ca) if ca else None)


@dataclass(frozen=True)
class _Answer:
    status: int
    etag: str
    size: str
    modified: str
    content: bytes

    @property
    def code(self) -> str:
        """What an error document calls itself: NoSuchKey, AccessDenied, …"""
        found = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", self.content)
        return found[1].decode() if found else ""


@dataclass(frozen=True)
class Bucket:
    """`s3://bucket/prefix`. Raises StorageError for whatever keeps it from being used."""

    settings: S3Settings
    bucket: str
    prefix: str = ""
    tries: int = field(default=_TRIES, kw_only=True)

    def __str__(self) -> str:
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def read(self, key: str, limit: int) -> bytes:
        answer = self._ask("GET", key, limit=limit)
        if answer.status == 404:
            raise Unreadable(self._absent(answer))
        return answer.content

    def holds(self, key: str, size: int) -> bool:
        answer = self._ask("HEAD", key, expected={403})  # without the right to list, what is absent is forbidden; writing will tell
        return answer.status == 200 and answer.size == str(size)

    def write(self, key: str, content: bytes) -> None:
        answer = self._ask("PUT", key, content=content)
        if answer.status == 404:
            raise StorageError(f"{self} cannot be written: {self._absent(answer)}. Make the bucket, or name another.")

    def current(self, key: str, limit: int) -> Versioned | None:
        answer = self._ask("GET", key, limit=limit)
        if answer.status == 404 and answer.code != "NoSuchBucket":
            return None
        if answer.status == 404:
            raise Unreadable(self._absent(answer))
        if not answer.etag:
            raise StorageError(f"{self.settings.endpoint} names no ETag for {key}, so two publishers could overwrite each other. Use another object store.")
        return Versioned(answer.content, answer.etag)

    def replace(self, key: str, content: bytes, before: Versioned | None) -> None:
        condition = {"if-match": before.version} if before else {"if-none-match": "*"}
        answer = self._ask("PUT", key, content=content, headers=condition, expected={404, 409, 412})
        if answer.code == "NoSuchBucket":
            raise StorageError(f"{self} cannot be written: {self._absent(answer)}. Make the bucket, or name another.")
        if answer.status != 200:
            raise Changed

    def refresh(self, key: str) -> bool:
        return self._written(key) > datetime.now(UTC) - _FRESH

    def written(self, key: str) -> datetime | None:
        found = self._written(key)
        return None if found == _NEVER else found

    def listed(self, prefix: str) -> Iterator[Stored]:
        own = f"{self.prefix}/" if self.prefix else ""
        asked = {"list-type": "2", "max-keys": str(_PAGE), "prefix": own + prefix}
        while True:
            answer = self._ask("GET", "", query=asked, limit=_PAGE_LIMIT)
            if answer.status == 404:
                raise StorageError(f"{self} cannot be listed: {self._absent(answer)}. Make the bucket, or name another.")
            page = answer.content.decode(errors="replace")
            for entry in re.findall(r"<Contents>(.*?)</Contents>", page, re.DOTALL):
                written = datetime.fromisoformat(element(entry, "LastModified"))
                yield Stored(element(entry, "Key").removeprefix(own), int(element(entry, "Size")), written)
            token = element(page, "NextContinuationToken")
            if not token:
                return
            asked["continuation-token"] = token

    def remove(self, key: str, before: datetime) -> bool:
        """In a bucket that keeps versions the content stays as an old one, until the bucket's lifecycle ends it."""
        if self._written(key) >= before:
            return False
        self._ask("DELETE", key, expected={204})
        return True

    def _written(self, key: str) -> datetime:
        """When the object was last written; the beginning of time where there is none."""
        answer = self._ask("HEAD", key)
        return parsedate_to_datetime(answer.modified) if answer.status == 200 and answer.modified else _NEVER

    def _absent(self, answer: _Answer) -> str:
        return f"{self.settings.endpoint} has no bucket {self.bucket}" if answer.code == "NoSuchBucket" else "no such object"

    def _ask(
        self, method: str, key: str, *, content: bytes = b"", headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
        limit: int = 0, expected: Collection[int] = (),
    ) -> _Answer:  # fmt: skip
        """One request, repeated while the store is busy or the connection breaks. query: with no key, of a request to the bucket itself.

        Raises StorageError for a status that is not 200, 404 or expected.
        """
        wait = _FIRST_WAIT
        for left in reversed(range(self.tries)):
            try:
                answer = self._send(method, key, content, headers or {}, canonical_query(query or {}), limit)
            except httpx2.TransportError as error:
                if left == 0 or _is_certificate(error):
                    raise self._unreachable(error) from None
            else:
                if answer.status in {200, 404} or answer.status in expected:
                    return answer
                if left == 0 or answer.status not in _BUSY:
                    raise self._refused(method, key, answer)
            time.sleep(wait * (1 + secrets.randbelow(100) / 100))
            wait *= 2
        raise AssertionError("the last try returns or raises")

    def _send(  # noqa: PLR0917
        self, method: str, key: str, content: bytes, headers: Mapping[str, str], query: str, limit: int
    ) -> _Answer:
        path = "/" + "/".join(part for part in ((self.bucket, self.prefix, key) if key or not query else (self.bucket,)) if part)
        host = urlsplit(self.settings.endpoint).netloc
        signed = signed_headers(
            method, path, {**headers, "host": host}, hashlib.sha256(content).hexdigest(),
            credentials=self._credentials(), region=self.settings.region, now=datetime.now(UTC), query=query,
        )  # fmt: skip
        deadline = time.monotonic() + _DEADLINE
        address = self.settings.endpoint + quote(path) + (f"?{query}" if query else "")
        with self._client.stream(method, address, headers={**signed, "accept-encoding": "identity"}, content=content) as response:
            most = limit if response.status_code == 200 else _ERROR_LIMIT
            body = io.BytesIO()  # gives its content away without copying it
            for chunk in response.iter_raw():
                body.write(chunk)
                if body.tell() > most:
                    body.truncate(most + 1)
                    break
                if time.monotonic() > deadline:
                    raise httpx2.ReadTimeout(f"{key} took more than {_DEADLINE:.0f} s")
            etag, size, modified = (response.headers.get(name, "") for name in ("etag", "content-length", "last-modified"))
            return _Answer(response.status_code, etag, size, modified, body.getvalue())

    @cached_property
    def _client(self) -> httpx2.Client:
        try:
            context = ssl.create_default_context(cafile=self.settings.ca)
        except (OSError, ssl.SSLError) as error:
            raise StorageError(f"PRESAGE_S3_CA {self.settings.ca} cannot be read as certificates ({error}). Name a PEM file.") from None
        return httpx2.Client(verify=context, timeout=httpx2.Timeout(30, connect=5), trust_env=False, follow_redirects=False)

    def _credentials(self) -> Credentials:
        folder = self.settings.credentials
        try:
            access, secret = ((folder / name).read_text(encoding="ascii").strip() for name in ("access_key", "secret_key"))
            token = folder / "session_token"
            return Credentials(access, secret, token.read_text(encoding="ascii").strip() if token.exists() else "")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no ASCII text"
            raise StorageError(f"{folder}: access_key and secret_key of the object store cannot be read ({reason}). Mount them, or name another.") from None

    def _unreachable(self, error: httpx2.TransportError) -> StorageError:
        endpoint = self.settings.endpoint
        if _is_certificate(error):
            trusted = f"an authority of {self.settings.ca}" if self.settings.ca else "an authority of this system"
            return StorageError(f"the certificate of {endpoint} is not vouched for by {trusted} ({_short(error)}). Name its authority in PRESAGE_S3_CA.")
        return StorageError(f"the object store at {endpoint} does not answer ({_short(error)}). Start it, or name another in PRESAGE_S3_ENDPOINT.")

    def _refused(self, method: str, key: str, answer: _Answer) -> StorageError:
        said = f"{answer.status} {answer.code}".strip()
        if answer.code in _CREDENTIALS_REFUSED or answer.status in {401, 403}:
            return StorageError(
                f"the object store at {self.settings.endpoint} refuses {method} {self}/{key} ({said}). "
                f"Put an account into {self.settings.credentials} that may do it."
            )
        if answer.status == 501:
            return StorageError(f"the object store at {self.settings.endpoint} cannot do a conditional PUT ({said}). Use one that can.")
        full = " Its disk may be full; look there." if method == "PUT" and answer.status in _BUSY else " Look into its log."
        return StorageError(f"the object store at {self.settings.endpoint} failed at {method} {self}/{key} ({said}, {self.tries} tries).{full}")


def element(page: str, name: str) -> str:
    """The text of the first element of this name; empty where there is none."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", page)
    return unescape(found[1]) if found else ""


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _short(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
