"""From an address to its storage: `s3://bucket[/prefix]` is a bucket, everything else a folder."""

import re
from collections.abc import Mapping
from pathlib import Path

from presage.storage.folder import Folder
from presage.storage.storage import Storage, StorageError

_BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*))?/?")


def open_storage(address: str, environment: Mapping[str, str]) -> Storage:
    """environment: holds PRESAGE_S3_… for a bucket (presage.storage.s3). Nothing is asked yet. Raises StorageError."""
    if "://" not in address:
        if not address:
            raise StorageError("a release store's address is empty. Name a folder, or s3://BUCKET.")
        return Folder(Path(address))
    match = _BUCKET.fullmatch(address)
    if match is None or ".." in address:
        raise StorageError(f"{address[:200]!r} is no release store. Name a folder, or s3://BUCKET or s3://BUCKET/PREFIX.")
    from presage.storage.s3 import Bucket, S3Settings

    return Bucket(S3Settings.from_environment(environment), match["bucket"], match["prefix"] or "")
