"""Forms as clients send them: in any order, with any bytes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.host.wire.multipart import FormPart, InvalidForm, read_form, write_form

# As the command line 3.1.0 sends it (Bun), but for the boundary.
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
parts = st.lists(st.builds(FormPart, names, st.binary(max_size=200), st.none() | names), max_size=6)


def test_what_the_stock_command_line_sends_is_read() -> None:
    file, metadata = read_form("multipart/form-data; boundary=----WebKitFormBoundary1c00", STOCK)

    assert (file.name, file.filename, file.content) == ("file", "supabase/functions/hello/index.py", b"fetch = 1\n")
    assert file.headers["content-type"] == "application/octet-stream"
    assert (metadata.name, metadata.filename, metadata.content) == ("metadata", None, b'{"name":"hello"}')


def test_the_boundary_may_stand_in_quotes_and_behind_other_parameters() -> None:
    content_type = 'Multipart/Form-Data; charset="utf-8"; Boundary="----WebKitFormBoundary1c00"'

    assert len(read_form(content_type, STOCK)) == 2


@given(parts)
def test_a_form_that_was_written_is_read_as_it_was(written: list[FormPart]) -> None:
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
def test_what_is_no_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(InvalidForm):
        read_form(content_type, body)


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_fail_in_another_way(body: bytes) -> None:
    for found in (body, b"--b\r\n" + body + b"\r\n--b--"):
        with suppress(InvalidForm):
            read_form("multipart/form-data; boundary=b", found)
