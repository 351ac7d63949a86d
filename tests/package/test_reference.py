"""A release's name pins one release, or is refused."""

import pytest

from presage.errors import ArtifactRefused
from presage.package.reference import parse_reference

DIGEST = "sha256:" + "a" * 64


def test_a_name_reads_back_as_itself():
    assert str(parse_reference(f"presage://incident-sequence:12@{DIGEST}")) == f"presage://incident-sequence:12@{DIGEST}"


@pytest.mark.parametrize("uri", [
    "presage://incident:7", "presage://incident@unresolved", "presage://incident:0@unresolved", f"presage://incident:0@{DIGEST}", f"presage://Incident:1@{DIGEST}",
    f"presage://../x:1@{DIGEST}", f"presage://incident:1@{DIGEST[:-1]}", f"presage://incident:1@{DIGEST.upper()}", f"s3://incident:1@{DIGEST}",
    f"presage://incident:1@{DIGEST}\n", f"presage://incident:local@{DIGEST}", "presage://incident:local", "", f"presage://incident:٧@{DIGEST}",
])
def test_what_pins_nothing_is_refused(uri):
    with pytest.raises(ArtifactRefused) as refused:
        parse_reference(uri)
    assert refused.value.reason == "digest"


def test_local_is_allowed_only_where_it_is_said():
    assert parse_reference("presage://incident:local", allow_local=True).local
