"""A bucket's lifecycle: what the object store ends by itself, compiled from the policy.

    lifecycle(bucket_rule)                       the document, as S3's PutBucketLifecycleConfiguration takes it
    set_lifecycle(bucket, text), current(bucket)

It ends versions that are hidden and uploads that nobody finished; never a current object: blobs are shared by digest, and which of them is needed
only the release store's index says.
"""

import base64
import hashlib
import xml.etree.ElementTree as ET
from dataclasses import replace

from presage.governance.retention.policy import LEAST, BucketRule, RetentionPolicy
from presage.storage.s3 import Bucket
from presage.storage.storage import StorageError

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_LIMIT = 256 << 10
Rules = dict[str, tuple[str, ...]]


def lifecycle(rule: BucketRule) -> str:
    """Rules are called by the clause that they come from."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="{_NAMESPACE}">
  <Rule>
    <ID>{rule.id}-old-versions</ID>
    <Filter><Prefix></Prefix></Filter>
    <Status>Enabled</Status>
    <NoncurrentVersionExpiration><NoncurrentDays>{rule.old_versions // LEAST}</NoncurrentDays></NoncurrentVersionExpiration>
    <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
  </Rule>
  <Rule>
    <ID>{rule.id}-unfinished-uploads</ID>
    <Filter><Prefix></Prefix></Filter>
    <Status>Enabled</Status>
    <AbortIncompleteMultipartUpload><DaysAfterInitiation>{rule.unfinished_uploads // LEAST}</DaysAfterInitiation></AbortIncompleteMultipartUpload>
  </Rule>
</LifecycleConfiguration>
"""


def lifecycle_of(policy: RetentionPolicy, bucket: str) -> str | None:
    """What the policy says of that bucket; None where it says nothing."""
    found = next((rule for rule in policy.buckets if rule.bucket == bucket), None)
    return None if found is None else lifecycle(found)


def ended(text: str | bytes) -> Rules:
    """Rule's id → what it ends, as texts that can be compared: stores write the same document otherwise. Raises ValueError."""
    try:
        root = ET.fromstring(text)  # noqa: S314 - of an object store that this account administers; no entity is resolved
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
    rules: Rules = {}
    for rule in root:
        words = []
        for element in rule.iter():
            name, value = element.tag.rpartition("}")[2], (element.text or "").strip()
            if value and name not in {"ID", "Prefix"}:
                words.append(f"{name}: {value}")
        name = next((element.text or "" for element in rule if element.tag.endswith("ID")), "")
        rules[name] = tuple(sorted(words))
    return rules


def current(bucket: Bucket) -> Rules:
    """What the bucket has now. Raises StorageError."""
    answer = replace(bucket, prefix="")._ask("GET", "", query={"lifecycle": ""}, limit=_LIMIT)
    if answer.status != 200:
        return {}
    try:
        return ended(answer.content)
    except ValueError as error:
        raise StorageError(f"s3://{bucket.bucket}: its lifecycle cannot be read ({error}). Look at it with a client of the store.") from None


def set_lifecycle(bucket: Bucket, text: str) -> bool:
    """Make it so; False where it was. Raises StorageError, also where the store did not take what it was told."""
    wanted = ended(text)
    if current(bucket) == wanted:
        return False
    content = text.encode()
    digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()  # S3 asks for it here
    replace(bucket, prefix="")._ask("PUT", "", query={"lifecycle": ""}, content=content, headers={"content-md5": digest})
    if (found := current(bucket)) != wanted:
        raise StorageError(f"s3://{bucket.bucket} was given a lifecycle and has another ({', '.join(found) or 'none'}). Its store does not keep all of it.")
    return True
