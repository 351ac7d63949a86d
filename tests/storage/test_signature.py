"""Requests to an object store are signed as Amazon's reference says."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest

from presage.storage.signature import Credentials, signed_headers

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(("method", "path", "headers", "body", "signature"), [
    ("GET", "/test.txt", {"range": "bytes=0-9"}, b"", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("PUT", "/test$file.text", {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}, b"Welcome to Amazon S3.",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
])  # fmt: skip
def test_the_published_examples_come_out(method, path, headers, body, signature):
    """Amazon S3 API reference, "Examples: Signature Calculations"."""
    at = datetime(2013, 5, 24, tzinfo=UTC)
    signed = signed_headers(method, path, {"host": HOST, **headers}, sha256(body).hexdigest(), credentials=EXAMPLE, region="us-east-1", now=at)
    assert signed["authorization"].endswith(f"Signature={signature}")
    assert EXAMPLE.secret_key not in str(signed)


def test_temporary_credentials_bring_their_token_signed():
    token = Credentials("A", "B", "temporary")
    signed = signed_headers("GET", "/k", {"host": HOST}, sha256(b"").hexdigest(), credentials=token, region="r", now=datetime.now(UTC))
    assert signed["x-amz-security-token"] == "temporary" and "x-amz-security-token" in signed["authorization"]
