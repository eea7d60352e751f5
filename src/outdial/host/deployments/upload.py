"""Read and validate the upload of a function before anything is stored."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

import msgspec

from outdial.host.deployments.errors import InvalidUpload
from outdial.host.deployments.multipart import FormPart
from outdial.host.deployments.source import SHARED
from outdial.host.wire.config import MIB, SLUG, FunctionConfig, unknown_keys

# Supabase's bound for a bundle (docs: Edge Functions, Limits).
LARGEST = 20 * MIB
MOST_FILES = 1_000
LONGEST_SLUG = 128
_LONGEST_PATH = 1_024
_LONGEST_STEP = 255
_WEBHOOK_SUFFIX = "-webhook"
# Keys of `[functions.<slug>]` that are stored with a version.
LIMITS = {field.name for field in fields(FunctionConfig)} - {"enabled", "verify_jwt", "entrypoint"}


class UploadMetadata(msgspec.Struct):
    """The form field `metadata` of Supabase's clients. `config` is our addition: the table `[functions.<slug>]`."""

    entrypoint_path: str
    name: str | None = None
    verify_jwt: bool | None = None
    static_patterns: list[str] | None = None
    config: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUpload:
    """An uploaded version of a function. Paths are relative to the root of the project, with slashes.

    `config` is the function's table of config.toml, None if the client sent neither. `verify_jwt` is None if the client
    did not set it. `warnings` name unknown keys of the table.
    """

    slug: str
    name: str
    entrypoint_path: str
    static_patterns: list[str]
    verify_jwt: bool | None
    config: Mapping[str, Any] | None
    files: Mapping[str, bytes] = field(repr=False)
    warnings: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of entrypoint, configuration and files, in hexadecimal."""
        files = sorted((path, sha256(content).hexdigest()) for path, content in self.files.items())
        content = [self.entrypoint_path, self.config, files]
        return sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def read_upload(slug: str, parts: Iterable[FormPart]) -> FunctionUpload:
    """Read the form of a deployment. Its fields can be in any order.

    Raises InvalidUpload, and BadConfig for an invalid `[functions.<slug>]`.
    """
    check_slug(slug)
    metadata = None
    files: dict[str, bytes] = {}
    for part in parts:
        if part.name == "metadata":
            try:
                metadata = msgspec.json.decode(part.content, type=UploadMetadata)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise InvalidUpload(f"The field metadata is not valid: {error}") from error
        elif part.name == "file" and part.filename is not None:
            path = check_path(part.filename)
            # The Go client sends the entrypoint twice if a pattern of static_files also matches it.
            if files.setdefault(path, part.content) != part.content:
                raise InvalidUpload(f"{path} was sent twice, with different content")
            if len(files) > MOST_FILES:
                raise InvalidUpload(f"A function has at most {MOST_FILES} files")
    if metadata is None:
        raise InvalidUpload("The field metadata is missing")
    entrypoint = check_path(metadata.entrypoint_path)
    uploaded = _pop_config(slug, PurePosixPath(entrypoint), files)
    table = uploaded if metadata.config is None else metadata.config
    upload = FunctionUpload(
        slug=slug,
        name=metadata.name or slug,
        entrypoint_path=entrypoint,
        static_patterns=metadata.static_patterns or [],
        verify_jwt=metadata.verify_jwt if metadata.verify_jwt is not None else (table or {}).get("verify_jwt"),
        config=None if table is None else {key: value for key, value in table.items() if key in LIMITS},
        files={path: content for path, content in files.items() if "__pycache__" not in path.split("/")},
        warnings=unknown_keys(slug, table or {}),
    )
    _validate(upload)
    return upload


def check_slug(slug: str) -> None:
    """Raise InvalidUpload for an invalid function name."""
    if not SLUG.match(slug) or len(slug) > LONGEST_SLUG or slug in SHARED:
        raise InvalidUpload(
            f"Invalid Function name {slug[:LONGEST_SLUG]!r}. Must start with at least one letter, and only include "
            "alphanumeric characters, underscores, and hyphens. (^[A-Za-z][A-Za-z0-9_-]*$)"
        )


def check_path(path: str) -> str:
    """Return `path`. Raises InvalidUpload unless it stays inside the directory that it is unpacked into."""
    steps = path.split("/")
    is_malformed = not path.isprintable() or "\\" in path or len(path.encode()) > _LONGEST_PATH
    if is_malformed or any(step in ("", ".", "..") or len(step.encode()) > _LONGEST_STEP for step in steps):
        raise InvalidUpload(f"{path[:_LONGEST_PATH]!r} is not a path below the project's directory")
    return path


def check_webhook(slug: str, verify_jwt: bool) -> None:
    """Raise InvalidUpload for a webhook that would reject its own sender."""
    if verify_jwt and slug.endswith(_WEBHOOK_SUFFIX):
        raise InvalidUpload(
            f"{slug} would respond 401 to every event: verify_jwt is on, and senders of webhooks have no token of this "
            f"project. Set verify_jwt = false under [functions.{slug}] in supabase/config.toml, and check the sender's "
            "signature in the function"
        )


def _pop_config(slug: str, entrypoint: PurePosixPath, files: dict[str, bytes]) -> Mapping[str, Any] | None:
    """Remove config.toml, which has settings of other functions too, from the files and return the function's table."""
    if len(entrypoint.parents) < 3:
        return None
    content = files.pop(str(entrypoint.parents[2] / "config.toml"), None)
    if content is None:
        return None
    try:
        table = tomllib.loads(content.decode()).get("functions", {}).get(slug, {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError, RecursionError) as error:
        raise InvalidUpload(f"config.toml is not valid: {error}") from error
    if not isinstance(table, dict):
        raise InvalidUpload(f"config.toml: functions.{slug} is not a table")
    return table


def _validate(upload: FunctionUpload) -> None:
    entrypoint = upload.entrypoint_path
    if not entrypoint.endswith(".py"):
        raise InvalidUpload(
            f"{entrypoint} is not a Python file: name it under [functions.{upload.slug}] in supabase/config.toml, "
            f'entrypoint = "./functions/{upload.slug}/index.py"'
        )
    if entrypoint not in upload.files:
        raise InvalidUpload(f"{entrypoint}, the entrypoint, is not among the uploaded files")
    if "/" not in entrypoint:
        raise InvalidUpload(f"{entrypoint}: a function has to be in its own directory")
    if (size := sum(map(len, upload.files.values()))) > LARGEST:
        raise InvalidUpload(f"The files have {size} bytes, more than {LARGEST}")
    for path in upload.files:
        if blocked := next((str(p) for p in PurePosixPath(path).parents if str(p) in upload.files), None):
            raise InvalidUpload(f"{blocked} is both a file and the directory of {path}")
    FunctionConfig.from_table(upload.slug, upload.config or {})
    if upload.verify_jwt is not None and not isinstance(upload.verify_jwt, bool):
        raise InvalidUpload("verify_jwt must be true or false")
