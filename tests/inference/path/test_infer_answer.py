"""The template of the usual answer gives the bytes that encoding the document gives."""

import json

from hypothesis import given
from hypothesis import strategies as st

from inference.path.request import PathRequest
from inference.server.oip import _PLAIN, Wanted, write_infer

texts = st.text(max_size=40)
shares = st.floats(0.0, 1.0)


@given(st.text(alphabet="0123456789abcdef", min_size=1, max_size=16), st.tuples(texts, texts, texts), st.tuples(shares, shares, shares))
def test_the_template_and_the_document_are_the_same_bytes(id, words, numbers):
    rung, because, used = words
    answer = PathRequest(servers=["a"], prediction_id=id, used=used)
    answer.rung, answer.because, answer.tier = [rung], [because], ["page"]
    answer.risk, answer.low, answer.high = ([number] for number in numbers)
    templated = write_infer(answer, _PLAIN, 'served "name"', "1")
    encoded = write_infer(answer, Wanted(list(_PLAIN.names), frozenset(), None), 'served "name"', "1")
    assert templated == encoded and json.loads(templated.body)["outputs"][0]["data"] == [numbers[0]]
