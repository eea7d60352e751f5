"""Uploads of the API: the file is the body of the request, or the part `file` of a form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

from outdial.studio.web.errors import InvalidInput, RequestTooLarge
from outdial.studio.web.forms import check_form_size, read_form

_CHUNK_BYTES: Final = 256 * 1024
# Client generators know forms and octet streams. A body of any other type is read as the file too.
FILE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "content": {
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/FileUpload"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
        "required": True,
    }
}
"""The `openapi_extra` of a route that reads its file with `uploaded_file`."""


@asynccontextmanager
async def uploaded_file(request: Request, max_bytes: int) -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield the chunks of the uploaded file; Starlette spools the file of a form to disk first.

    Raises InvalidInput and RequestTooLarge for a form; the caller limits the size of a plain body.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        yield request.stream()
        return
    check_form_size(request, max_bytes)
    try:
        form = await read_form(request)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidInput("The form has no file", {"file": "send the file in a part with the name file"})
        yield file_chunks(file)
    finally:
        # Deletes the spooled file, also when the form is rejected.
        await request.close()


async def file_chunks(file: UploadFile) -> AsyncIterator[bytes]:
    """Yield the content of a form's file."""
    while chunk := await file.read(_CHUNK_BYTES):
        yield chunk


async def read_upload(request: Request, max_bytes: int) -> bytes:
    """Return the uploaded file as a whole; raises RequestTooLarge above `max_bytes`, and InvalidInput."""
    content = bytearray()
    try:
        async with uploaded_file(request, max_bytes) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > max_bytes:
                    raise RequestTooLarge(f"Files may have at most {max_bytes >> 20} MiB: split the file")
    except ClientDisconnect:
        raise InvalidInput("The upload was interrupted") from None
    return bytes(content)
