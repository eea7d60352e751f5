"""multipart/form-data as clients send it: fields in any order, any bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.host.deployments.multipart import MOST_PARTS, FormPart, InvalidForm, read_form, write_form

# As the Supabase CLI 3.1.0 (Bun) sends it, with a shorter boundary.
STOCK = (
    b"------WebKitFormBoundary1c00\r\n"
    b'Content-Disposition: form-data; name="file"; filename="supabase/functions/hello/index.py"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n"
    b"fetch = 1\n\r\n"
    b"------WebKitFormBoundary1c00\r\n"
    b'Content-Disposition: form-data; name="metadata"\r\n\r\n'
    b'{"name":"hello"}\r\n'
    b"------WebKitFormBoundary1c00--\r\n\r\n"
)

names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
parts = st.lists(
    st.builds(FormPart, name=names, content=st.binary(max_size=200), filename=st.none() | names), max_size=6
)


def test_reads_the_form_of_the_stock_cli() -> None:
    file, metadata = read_form("multipart/form-data; boundary=----WebKitFormBoundary1c00", STOCK)

    assert (file.name, file.filename, file.content) == ("file", "supabase/functions/hello/index.py", b"fetch = 1\n")
    assert file.headers["content-type"] == "application/octet-stream"
    assert (metadata.name, metadata.filename, metadata.content) == ("metadata", None, b'{"name":"hello"}')


def test_accepts_a_quoted_boundary_after_other_parameters() -> None:
    content_type = 'Multipart/Form-Data; charset="utf-8"; Boundary="----WebKitFormBoundary1c00"'

    assert len(read_form(content_type, STOCK)) == 2


@given(parts)
def test_reads_back_every_form_it_writes(written: list[FormPart]) -> None:
    content_type, body = write_form(written)
    found = read_form(content_type, body)

    assert [(part.name, part.filename, part.content) for part in found] == [
        (part.name, part.filename, part.content) for part in written
    ]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", STOCK),
        ("multipart/form-data; boundary=other", STOCK),
        ("multipart/form-data; boundary=----WebKitFormBoundary1c00", STOCK[:-20]),
        ("multipart/form-data; boundary=----WebKitFormBoundary1c00", b""),
        ("multipart/form-data; boundary=b", b"--b\r\nno headers\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--'),
        ("multipart/form-data; boundary=b", b"--b\r\n" * 3_000 + b"--b--"),
    ],
)
def test_rejects_malformed_forms(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidForm):
        read_form(content_type, body)


def test_rejects_a_form_with_too_many_parts() -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'

    assert len(read_form("multipart/form-data; boundary=b", part * MOST_PARTS + b"--b--")) == MOST_PARTS
    with pytest.raises(InvalidForm, match="more than 2000 parts"):
        read_form("multipart/form-data; boundary=b", part * (MOST_PARTS + 1) + b"--b--")


@given(st.binary(max_size=300))
def test_any_bytes_either_parse_or_raise_invalid_form(body: bytes) -> None:
    for found in (body, b"--b\r\n" + body + b"\r\n--b--"):
        with suppress(InvalidForm):
            read_form("multipart/form-data; boundary=b", found)
