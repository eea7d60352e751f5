"""What a client sends to deploy a function: its files and what it says of them, checked before anything is kept."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import msgspec

from outdial.host.deployments.errors import InvalidUpload
from outdial.host.deployments.multipart import FormPart
from outdial.host.deployments.source import SHARED
from outdial.host.wire.config import MIB, SLUG, FunctionConfig

# Supabase's bound for a bundle (docs: Edge Functions, Limits).
LARGEST = 20 * MIB
MOST_FILES = 1_000
LONGEST_SLUG = 128
_LONGEST_PATH, _LONGEST_STEP = 1_024, 255
_WEBHOOK = "-webhook"
_CONFIG_KEYS = {field.name for field in fields(FunctionConfig)} - {"enabled", "verify_jwt", "entrypoint"}


class UploadMetadata(msgspec.Struct):
    """The field `metadata` of a deployment, as Supabase's clients send it; `config` is ours: `[functions.<slug>]`."""

    entrypoint_path: str
    name: str | None = None
    verify_jwt: bool | None = None
    static_patterns: list[str] | None = None
    config: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FunctionUpload:
    """A version of a function as it was sent; paths are relative to the root of the project, with slashes.

    `config` is what a config.toml said of the function, None when none was sent; `verify_jwt` is None when nobody said.
    """

    slug: str
    name: str
    entrypoint_path: str
    static_patterns: list[str]
    verify_jwt: bool | None
    config: Mapping[str, Any] | None
    files: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 over everything that makes this version what it is, in hexadecimal digits."""
        files = sorted((path, sha256(content).hexdigest()) for path, content in self.files.items())
        made_of = [self.entrypoint_path, self.config, files]
        return sha256(msgspec.json.encode(made_of, order="deterministic")).hexdigest()


def read_upload(slug: str, parts: Iterable[FormPart]) -> FunctionUpload:
    """Return what the form of a deployment holds, its fields in any order.

    Raises BadUpload, and BadConfig for a `[functions.<slug>]` that cannot be used.
    """
    check_slug(slug)
    metadata, files = None, dict[str, bytes]()
    for part in parts:
        if part.name == "metadata":
            metadata = _read_metadata(part.content)
        elif part.name == "file" and part.filename is not None:
            _add(files, check_path(part.filename), part.content)
    if metadata is None:
        raise InvalidUpload("The field metadata is missing")
    entrypoint = check_path(metadata.entrypoint_path)
    uploaded = _uploaded_config(slug, PurePosixPath(entrypoint), files)
    table = uploaded if metadata.config is None else metadata.config
    upload = FunctionUpload(
        slug,
        metadata.name or slug,
        entrypoint,
        metadata.static_patterns or [],
        metadata.verify_jwt if metadata.verify_jwt is not None else (table or {}).get("verify_jwt"),
        None if table is None else {key: value for key, value in table.items() if key in _CONFIG_KEYS},
        {path: content for path, content in files.items() if "__pycache__" not in path.split("/")},
    )
    _check(upload)
    return upload


def check_slug(slug: str) -> None:
    """Raise BadUpload for what cannot be the name of a function."""
    if not SLUG.match(slug) or len(slug) > LONGEST_SLUG or slug in SHARED:
        raise InvalidUpload(
            f"Invalid Function name {slug[:LONGEST_SLUG]!r}. Must start with at least one letter, and only include "
            "alphanumeric characters, underscores, and hyphens. (^[A-Za-z][A-Za-z0-9_-]*$)"
        )


def check_path(path: str) -> str:
    """Return `path`; raise BadUpload unless it stays below the directory that it is unpacked in."""
    steps = path.split("/")
    odd = not path.isprintable() or "\\" in path or len(path.encode()) > _LONGEST_PATH
    if odd or any(step in ("", ".", "..") or len(step.encode()) > _LONGEST_STEP for step in steps):
        raise InvalidUpload(f"{path[:_LONGEST_PATH]!r} is not a path below the project's directory")
    return path


def check_webhook(slug: str, verify_jwt: bool) -> None:
    """Raise BadUpload for a webhook that would refuse its own sender."""
    if verify_jwt and slug.endswith(_WEBHOOK):
        raise InvalidUpload(
            f"{slug} would answer 401 to every event: verify_jwt is on, and who sends to a webhook has no token of "
            f"this project. Set verify_jwt = false under [functions.{slug}] in supabase/config.toml, and let the "
            "function check the sender's signature itself"
        )


def _read_metadata(content: bytes) -> UploadMetadata:
    try:
        return msgspec.json.decode(content, type=UploadMetadata)
    except msgspec.MsgspecError as error:
        raise InvalidUpload(f"The field metadata cannot be read: {error}") from error


def _add(files: dict[str, bytes], path: str, content: bytes) -> None:
    # The Go client sends the entrypoint twice when a pattern of static_files matches it, too.
    if files.setdefault(path, content) != content:
        raise InvalidUpload(f"{path} was sent twice, with different content")
    if len(files) > MOST_FILES:
        raise InvalidUpload(f"A function has {MOST_FILES} files at most")


def _uploaded_config(slug: str, entrypoint: PurePosixPath, files: dict[str, bytes]) -> Mapping[str, Any] | None:
    """Take config.toml out of the files: what it says of other functions is no part of this one."""
    if len(entrypoint.parents) < 3:
        return None
    content = files.pop(str(entrypoint.parents[2] / "config.toml"), None)
    if content is None:
        return None
    try:
        table = tomllib.loads(content.decode()).get("functions", {}).get(slug, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise InvalidUpload(f"config.toml cannot be read: {error}") from error
    if not isinstance(table, dict):
        raise InvalidUpload(f"config.toml: functions.{slug} is not a table")
    return table


def _check(upload: FunctionUpload) -> None:
    entrypoint = upload.entrypoint_path
    if not entrypoint.endswith(".py"):
        raise InvalidUpload(
            f"{entrypoint} is not a Python file: name it under [functions.{upload.slug}] in supabase/config.toml, "
            f'entrypoint = "./functions/{upload.slug}/index.py"'
        )
    if entrypoint not in upload.files:
        raise InvalidUpload(f"{entrypoint}, the entrypoint, is not among the files that were sent")
    if "/" not in entrypoint:
        raise InvalidUpload(f"{entrypoint}: a function lies in a directory of its own")
    if (size := sum(map(len, upload.files.values()))) > LARGEST:
        raise InvalidUpload(f"The files have {size} bytes, more than {LARGEST}")
    for path in upload.files:
        if blocked := next((str(p) for p in PurePosixPath(path).parents if str(p) in upload.files), None):
            raise InvalidUpload(f"{blocked} is both a file and the directory of {path}")
    FunctionConfig.read(upload.slug, upload.config or {})
    if upload.verify_jwt is not None and not isinstance(upload.verify_jwt, bool):
        raise InvalidUpload("verify_jwt must be true or false")
