"""How fields of Vault's API are compared: spelled differently is not different."""

from datetime import timedelta

import pytest

from presage.secrets.differences import differing


@pytest.mark.parametrize(("wanted", "found"), [
    (timedelta(days=3), "72h"), (timedelta(days=3), "72h0m0s"), (timedelta(minutes=10), 600), (timedelta(0), 0), (timedelta(0), "0s"),
    (["a", "b"], ["b", "a"]), (("a",), ["a"]), ([], None), ({}, None), ("", None), (False, None), (0, None), ("2", "2"), (timedelta(seconds=90), "1m30s"),
])  # fmt: skip
def test_spelled_differently_is_the_same(wanted, found):
    assert differing({"field": wanted}, {"field": found}) == ()


@pytest.mark.parametrize(("wanted", "found", "line"), [
    (timedelta(days=3), "73h", "field: 73h → 259200"), (["a"], ["a", "b"], "field: a, b → a"), (False, True, "field: True → False"),
    (True, None, "field: nothing → True"), ("", "x", "field: x → nothing"), (["a"], [], "field: nothing → a"), (timedelta(hours=1), 0, "field: 0 → 3600"),
])  # fmt: skip
def test_a_difference_is_a_line_with_both_values(wanted, found, line):
    assert differing({"field": wanted}, {"field": found}) == (line,)


def test_fields_that_nobody_wants_are_not_looked_at():
    assert differing({"a": 1}, {"a": 1, "b": 2}) == ()
