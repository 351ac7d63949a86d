"""A bucket with object lock: what is put there stays for a stated time, whoever asks for its removal.

    bucket = LockingBucket.open("s3://audit-anchor", os.environ)
    bucket.make()
    bucket.write_locked("audit/0000001234", content, until)
    for version in bucket.versions("audit/"): bucket.read_version(version.key, version.version, limit)

A lock keeps a version. Under its name another version may be put, or a marker that hides it: whoever relies on the lock reads `versions`.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from presage.storage.address import open_storage
from presage.storage.s3 import Bucket, element
from presage.storage.storage import StorageError, Unreadable

_PAGE, _PAGE_LIMIT = 500, 4 << 20  # versions that one listing names, and its bytes at most
_CONFIGURATION = 16 << 10


@dataclass(frozen=True)
class Version:
    """marker: no content, but a sign that hides the versions before it. written: UTC."""

    key: str
    version: str
    written: datetime
    marker: bool = False


@dataclass(frozen=True)
class LockingBucket(Bucket):
    """`s3://bucket/prefix`. Raises StorageError for whatever keeps it from being used."""

    @classmethod
    def open(cls, address: str, environment: Mapping[str, str]) -> "LockingBucket":
        """environment: PRESAGE_S3_…. Nothing is asked yet."""
        found = open_storage(address, environment)
        if not isinstance(found, Bucket):
            raise StorageError(f"{address[:80]} is no bucket. Write s3://BUCKET or s3://BUCKET/PREFIX.")
        return cls(found.settings, found.bucket, found.prefix)

    def make(self) -> None:
        """The bucket itself, where it is not there. Raises StorageError where it is there without object lock: that cannot be added later."""
        place = replace(self, prefix="")
        found = place._ask("GET", "", query={"object-lock": ""}, limit=_CONFIGURATION)
        if found.code == "NoSuchBucket":
            place._ask("PUT", "", headers={"x-amz-bucket-object-lock-enabled": "true"}, expected={409})
            found = place._ask("GET", "", query={"object-lock": ""}, limit=_CONFIGURATION)
        if b"<ObjectLockEnabled>Enabled</ObjectLockEnabled>" not in found.content:
            raise StorageError(f"s3://{self.bucket} has no object lock, so what is put there could be removed. Name a bucket that was made with it.")

    def write_locked(self, key: str, content: bytes, until: datetime) -> bool:
        """Create an object that nobody, not even its owner, removes before `until` (compliance mode). False where there is one already."""
        headers = {
            "if-none-match": "*", "x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "content-md5": base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode(),  # object lock asks for it
        }  # fmt: skip
        answer = self._ask("PUT", key, content=content, headers=headers, expected={400, 404, 409, 412})
        if answer.status == 404:
            raise StorageError(f"{self} cannot be written: {self._absent(answer)}. Make the bucket, or name another.")
        if answer.status == 400:
            raise StorageError(f"{self} takes no locked object ({answer.code}): it may have no object lock. Name a bucket that was made with it.")
        return answer.status == 200

    def versions(self, prefix: str) -> Iterator[Version]:
        """Every version and marker under keys that begin with `prefix`; in no order."""
        own = f"{self.prefix}/" if self.prefix else ""
        asked = {"versions": "", "max-keys": str(_PAGE), "prefix": own + prefix}
        while True:
            answer = self._ask("GET", "", query=asked, limit=_PAGE_LIMIT)
            if answer.status == 404:
                raise StorageError(f"{self} cannot be listed: {self._absent(answer)}. Make the bucket, or name another.")
            page = answer.content.decode(errors="replace")
            for kind, entry in re.findall(r"<(Version|DeleteMarker)>(.*?)</\1>", page, re.DOTALL):
                written = datetime.fromisoformat(element(entry, "LastModified"))
                yield Version(element(entry, "Key").removeprefix(own), element(entry, "VersionId"), written, kind == "DeleteMarker")
            if element(page, "IsTruncated") != "true":
                return
            after = {"key-marker": element(page, "NextKeyMarker"), "version-id-marker": element(page, "NextVersionIdMarker")}
            if not after["key-marker"] or after.items() <= asked.items():
                raise StorageError(f"{self} cannot be listed to its end: {self.settings.endpoint} says that there is more, and not where. Use another store.")
            asked |= after

    def read_version(self, key: str, version: str, limit: int) -> bytes:
        """The content of that very version, cut after `limit` + 1 bytes. Raises Unreadable."""
        answer = self._ask("GET", key, query={"versionId": version}, limit=limit)
        if answer.status == 404:
            raise Unreadable(self._absent(answer))
        return answer.content
