"""Signatures: the published vectors, the edges, and agreement with the official SDK."""

import hmac
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from retell.lib.webhook_auth import symmetric

from outdial.retell.signature import TOLERANCE_MS, sign, verify

KEY = "key_test_0123456789abcdef"
VECTORS = [
    (
        KEY,
        b'{"event":"call_ended","call":{"call_id":"call_vec_1","call_status":"ended",'
        b'"disconnection_reason":"user_hangup"}}',
        1700000000000,
        "9c559d7d703ea3a7f6ceb27297187cd673f82456c8630c646c51b962d5e542c6",
    ),
    (
        KEY,
        '{"event": "call_analyzed", "call": {"call_id": "call_vec_2", "call_analysis": {"call_summary": '
        '"Клиент согласился — перезвонить в 10:00 ☎", "in_voicemail": false}}}'.encode(),
        1764000000123,
        "7c97210ceffc773f3a0dbeab27fee9097fc779a5541ff467e18aea0ed7fcd393",
    ),
    ("key_övrig", b"", 1, "0464a7634a7fe10c34ce9bea110063e18868acd35ab5ca90bb596018293ee28d"),
]


@pytest.mark.parametrize(("key", "body", "at", "digest"), VECTORS)
def test_the_published_vectors_verify(key: str, body: bytes, at: int, digest: str) -> None:
    header = f"v={at},d={digest}"
    assert sign(body, key, at) == header
    assert verify(body, header, [key], at) == 0
    assert verify(body, header, [key], at + TOLERANCE_MS) == 0
    assert verify(body, header, [key], at - TOLERANCE_MS) == 0
    assert verify(body, header, [key], at + TOLERANCE_MS + 1) is None
    assert verify(body, header, [key], at - TOLERANCE_MS - 1) is None
    assert verify(body + b" ", header, [key], at) is None
    assert verify(body, header, [key + "x"], at) is None


def test_the_matching_key_is_returned_during_rotation() -> None:
    header = sign(b"{}", "old", 1000)
    assert verify(b"{}", header, ["new", "old"], 1000) == 1
    assert verify(b"{}", header, ["new", "newer"], 1000) is None
    assert verify(b"{}", header, [], 1000) is None


def test_an_empty_key_never_matches() -> None:
    assert verify(b"{}", sign(b"{}", "", 1000), ["", "other"], 1000) is None


GOOD = sign(b"{}", KEY, 1700000000000)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "your-webhook-secret",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD.replace("v=17", "v=١٧"),
        GOOD[:-1],
        GOOD + "0",
        "v=" + "9" * 5000 + GOOD[GOOD.index(",") :],
        "v=" + "0" * 17 + GOOD[2:],
        GOOD.replace("v=", "v=-"),
        "\ud800" + GOOD,
        sign(b"{}", KEY, 1700000000),  # seconds
        GOOD.partition("d=")[2],  # the digest alone
        hmac.digest(KEY.encode(), b"{}", "sha256").hex(),  # of the body alone
        GOOD.replace("v=", "t=").replace("d=", "v1="),  # as Stripe writes it
    ],
)
def test_a_malformed_header_is_invalid(header: str | None) -> None:
    assert verify(b"{}", GOOD, [KEY], 1700000000000) == 0
    assert verify(b"{}", header, [KEY], 1700000000000) is None


ascii_digits = st.text(alphabet=string.digits, min_size=1, max_size=16)
headers = st.one_of(
    st.none(),
    st.text(max_size=90),
    st.builds("v={},d={}".format, ascii_digits, st.text(alphabet="0123456789abcdef", min_size=63, max_size=65)),
)


@given(body=st.text(), key=st.text(min_size=1), at=st.integers(0, 10**16 - 1), drift=st.integers(-400_000, 400_000))
@example(body="", key="k", at=1, drift=TOLERANCE_MS)
def test_our_check_and_the_sdks_agree_on_signatures_of_both(body: str, key: str, at: int, drift: int) -> None:
    header = symmetric["sign"](body, key, at)
    assert sign(body.encode(), key, at) == header
    theirs = symmetric["verify"](body, key, header, {"timestamp": at + drift})
    assert (verify(body.encode(), header, [key], at + drift) == 0) is theirs


@given(body=st.text(), key=st.text(), header=headers, now=st.integers())
def test_our_check_and_the_sdks_agree_on_any_header(body: str, key: str, header: str | None, now: int) -> None:
    try:
        theirs = symmetric["verify"](body, key, header, {"timestamp": now})
    except (TypeError, ValueError):
        theirs = False
    assert (verify(body.encode(), header, [key], now) is not None) == (theirs and key != "")


@given(zeros=st.integers(0, 3))
def test_leading_zeros_of_the_timestamp_do_not_matter(zeros: int) -> None:
    header = GOOD.replace("v=", "v=" + "0" * zeros)
    assert verify(b"{}", header, [KEY], 1700000000000) == 0
    assert symmetric["verify"]("{}", KEY, header, {"timestamp": 1700000000000})


@given(body=st.binary(max_size=200), header=st.text(), keys=st.lists(st.text()), now=st.integers())
def test_verify_never_raises(body: bytes, header: str, keys: list[str], now: int) -> None:
    assert verify(body, header, keys, now) is None
