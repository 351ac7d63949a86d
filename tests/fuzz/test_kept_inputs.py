"""Every input that the fuzzer ever kept is answered or refused, never a failure."""

import pytest

from fuzz.corpus import kept
from fuzz.target import WAYS, Target


@pytest.fixture(scope="module")
def target(serving_site, tmp_path_factory):
    with Target(serving_site, tmp_path_factory.mktemp("fuzz")) as target:
        yield target


def test_every_kept_input_is_answered_or_refused(target):
    inputs = kept()
    seen = {status for each in inputs for status in target.take(each)}
    assert len(inputs) > 100 and {200, 400} <= seen and {WAYS[each[0] % len(WAYS)] for each in inputs if each} == set(WAYS)
