"""An address is a folder or a bucket, and what is neither is said."""

from pathlib import Path

import pytest

from presage.storage.address import open_storage
from presage.storage.folder import Folder
from presage.storage.s3 import Bucket, S3Settings
from presage.storage.storage import StorageError

GIVEN = {"PRESAGE_S3_ENDPOINT": "https://s3.object-store.svc:8333", "PRESAGE_S3_CREDENTIALS": "/etc/presage/storage"}


@pytest.mark.parametrize(("address", "bucket", "prefix"), [
    ("s3://releases", "releases", ""), ("s3://releases/", "releases", ""), ("s3://releases/team/a-1", "releases", "team/a-1"),
])  # fmt: skip
def test_a_bucket_with_and_without_a_prefix(address, bucket, prefix):
    assert open_storage(address, GIVEN) == Bucket(S3Settings.from_environment(GIVEN), bucket, prefix)


def test_everything_without_a_scheme_is_a_folder():
    assert open_storage("state/releases", {}) == Folder(Path("state/releases"))


@pytest.mark.parametrize("address", ["", "s3://", "s3://Releases", "s3://r", "s3://releases/../other", "s3://releases/a b", "gs://releases", "https://releases"])
def test_what_is_neither_is_refused(address):
    with pytest.raises(StorageError, match=r"Name a folder, or s3://BUCKET"):
        open_storage(address, GIVEN)


@pytest.mark.parametrize(("changes", "says"), [
    ({"PRESAGE_S3_ENDPOINT": "http://s3.example"}, "Write https://HOST"),
    ({"PRESAGE_S3_ENDPOINT": "s3.example:8333"}, "Write https://HOST"),
    ({"PRESAGE_S3_ENDPOINT": "https://s3.example/bucket"}, "Write https://HOST"),
    ({"PRESAGE_S3_CREDENTIALS": ""}, "PRESAGE_S3_CREDENTIALS is not set"),
])  # fmt: skip
def test_settings_that_cannot_be_used_are_refused_before_anything_is_asked(changes, says):
    with pytest.raises(StorageError, match=says):
        open_storage("s3://releases", {**GIVEN, **changes})


def test_without_an_endpoint_it_is_amazon_s_in_the_region():
    settings = S3Settings.from_environment({"PRESAGE_S3_CREDENTIALS": "/c", "PRESAGE_S3_REGION": "eu-west-1"})
    assert (settings.endpoint, settings.ca) == ("https://s3.eu-west-1.amazonaws.com", None)
