"""Only whole mount paths, 0.0.0.0 and 127.0.0.1 are rewritten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presage.local.substitution import Substitution, expand_variables

REWRITE = Substitution({"/var/lib/presage": "/s/state", "/var/lib/presage/online": "/s/online", "/mnt/models": "/s/models"}, "127.9.8.7")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("--online_store=sqlite:/var/lib/presage/online/online.db", "--online_store=sqlite:/s/online/online.db"),
        ("/mnt/models", "/s/models"),
        ("/mnt/models:/var/lib/presage", "/s/models:/s/state"),
        ("/mnt/models-old", "/mnt/models-old"),
        ("/mnt/models.old", "/mnt/models.old"),
        ("/srv/mnt/models", "/srv/mnt/models"),
        ("http://host/mnt/models", "http://host/mnt/models"),
        ("--host=0.0.0.0", "--host=127.9.8.7"),
        ("0.0.0.0:8080", "127.9.8.7:8080"),
        ("10.0.0.0", "10.0.0.0"),
        ("0.0.0.0.1", "0.0.0.0.1"),
        ("http://127.0.0.1:9090/", "http://127.9.8.7:9090/"),
        ("127.0.0.10", "127.0.0.10"),
    ],
)
def test_what_is_written_and_what_is_meant(written, meant):
    assert REWRITE(written) == meant


@given(st.text())
def test_text_without_mounts_and_addresses_is_left_alone(text):
    if not any(mark in text for mark in ("/mnt/models", "/var/lib/presage", "0.0.0.0", "127.0.0.1")):
        assert REWRITE(text) == text


@given(st.lists(st.sampled_from(["/mnt/models", "0.0.0.0", ":", "x", " "])))
def test_what_was_rewritten_is_not_rewritten_again(words):
    once = REWRITE(" ".join(words))
    assert Substitution({"/mnt/models": "/s/models"}, "127.9.8.7")(once) == once


def test_variables_are_expanded_as_kubernetes_does():
    assert expand_variables("$(A)-$(B)-$$(A)", {"A": "1"}) == "1-$(B)-$(A)"
