"""Who called, as the sidecar says it: read exactly, and not to be talked over by a caller's own text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.clients.certificates import UNNAMED, caller, parse_xfcc
from presage.errors import RequestRefused

GATEWAY = "spiffe://cluster.local/ns/gateway/sa/presage-istio"
INCIDENT = "spiffe://cluster.local/ns/models-network/sa/incident"
CHECKOUT = "spiffe://cluster.local/ns/shop/sa/checkout"
OPERATORS = "spiffe://cluster.local/ns/clients/sa/operators"


def element(uri, by=INCIDENT):
    """As Envoy writes it where it is told to give the URI."""
    return f"By={by};Hash={'0f' * 32};URI={uri}"


def asked(*elements):
    return caller(",".join(elements).encode(), GATEWAY)


def test_behind_the_gateway_the_client_is_who_the_gateway_checked():
    assert asked(element(OPERATORS, GATEWAY), element(GATEWAY)) == OPERATORS


def test_a_pod_of_the_mesh_is_itself_whatever_it_wrote_before():
    assert asked(element(CHECKOUT)) == CHECKOUT
    assert asked(element(OPERATORS, GATEWAY), element(GATEWAY), element(CHECKOUT)) == CHECKOUT


def test_what_a_client_sent_through_a_gateway_that_keeps_it_is_not_the_client():
    assert asked(element(CHECKOUT), element(OPERATORS, GATEWAY), element(GATEWAY)) == OPERATORS


def test_the_gateway_alone_is_the_gateway():
    assert asked(element(GATEWAY)) == GATEWAY


@pytest.mark.parametrize("last", ["By=spiffe://a/b;Hash=00", "URI=", "URI=https://example.org/me", "URI=spiffe://UPPER/x", "URI=spiffe://a/" + "x" * 3000])
def test_a_certificate_without_a_spiffe_id_is_nobody(last):
    assert asked(element(OPERATORS), last) == UNNAMED


def test_istio_s_elements_with_subject_and_names_are_read():
    header = f'By={INCIDENT};Hash=00;Subject="CN=a\\,b;c=\\"d\\"";URI={CHECKOUT};DNS=a.example;DNS=b.example'
    assert asked(header) == CHECKOUT
    assert ("subject", 'CN=a,b;c="d"') in parse_xfcc(header.encode())[0]


@pytest.mark.parametrize(
    "header",
    [
        "", ",", "URI", "URI=a,", "URI=a;", "URI=a;;By=b", "=a", 'URI="a', 'URI="a"b', 'URI=a"b"', "URI=a, ,URI=b", f"URI={CHECKOUT};URI={OPERATORS}",
        f"URI={CHECKOUT};uri={OPERATORS}", f"URI=;URI={OPERATORS}", ",".join(["URI=a"] * 65), 'Subject="\\',
    ],
)  # fmt: skip
def test_a_header_that_envoy_does_not_write_is_refused_with_400(header):
    with pytest.raises(RequestRefused, match="Leave the header to the proxies") as refused:
        caller(header.encode(), GATEWAY)
    assert (refused.value.status, refused.value.reason) == (400, "client-identity")


KEYS = st.sampled_from(["By", "Hash", "Subject", "URI", "DNS", "Cert", "Chain", "X-New"])
PLAIN = st.text(st.characters(codec="latin-1", exclude_characters='",;'))
ANY = st.text(st.characters(codec="latin-1"))


def quoted(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


PAIRS = st.one_of(st.tuples(KEYS, PLAIN).map(lambda pair: (*pair, pair[1])), st.tuples(KEYS, ANY).map(lambda pair: (*pair, quoted(pair[1]))))


@given(st.lists(st.lists(PAIRS, min_size=1, max_size=5), min_size=1, max_size=5))
def test_whatever_is_written_by_the_rules_is_read_back(elements):
    written = ",".join(";".join(f"{key}={text}" for key, _, text in pairs) for pairs in elements)
    assert parse_xfcc(written.encode("latin-1")) == [[(key.lower(), value) for key, value, _ in pairs] for pairs in elements]


@given(st.one_of(st.binary(max_size=200), st.text('URI=Byspiffe://,;"\\ ', max_size=80).map(str.encode)))
def test_anything_at_all_is_read_or_refused(header):
    try:
        caller(header, GATEWAY)
    except RequestRefused as refused:
        assert refused.status == 400


FORGED = st.one_of(
    st.text('URI=Byspiffe://,;"\\', max_size=80).map(str.encode),
    st.lists(st.sampled_from([GATEWAY, OPERATORS, CHECKOUT]).map(element), min_size=1, max_size=4).map(lambda elements: ",".join(elements).encode()),
    st.binary(max_size=80),
)


@given(FORGED, st.booleans())
def test_no_text_of_a_caller_makes_it_somebody_else(forged, with_subject):
    """Its sidecar's element comes after all it can write."""
    own = f'By={INCIDENT};Hash=00;{"Subject=;" if with_subject else ""}URI={CHECKOUT}'.replace("Subject=;", 'Subject="CN=x,URI=y";')
    try:
        assert caller(forged + b"," + own.encode(), GATEWAY) == CHECKOUT
    except RequestRefused as refused:
        assert refused.status == 400
