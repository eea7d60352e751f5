"""The logger of a function. It redacts secrets of the environment and phone numbers."""

import json
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Self
from urllib.parse import unquote, urlsplit

from outdial import log as outdial_log
from outdial.log import Level
from outdial.settings import secret_list, unquoted

_SECRET_NAME = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|JWT|DSN|(^|_)(DB|DATABASE)_URL$")
_SHORTEST_SECRET = 6
# Seven to fifteen digits after +, its form in a URL, or the 00 that is dialed instead of it, with the separators that
# people write. Other runs of digits are ids and times.
_GAP = r"(?:%20|[ ().\-/\xa0]){0,2}"
_PHONE = re.compile(rf"(?:\+|%2[Bb]|0(?<![\w.:+-]0)0(?!\w*[A-Za-z_])){_GAP}[1-9](?:{_GAP}\d){{6,14}}(?!\d)")
_RESERVED = frozenset({"event", "level", "error", "at"})


class Redactor:
    """Redacts the secrets of an environment, those in `also`, and phone numbers."""

    def __init__(self, env: Mapping[str, str], also: Iterable[str] = ()) -> None:
        values = [*(value for name, value in env.items() if _SECRET_NAME.search(name.upper())), *also]
        found = {part for value in values for part in _parts(value) if len(part) >= _SHORTEST_SECRET}
        # Longest first: a secret that is part of a longer one must not leave the rest of it behind.
        secrets = sorted(found, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, secrets))) if secrets else None

    def __call__(self, text: str) -> str:
        """Return `text` with secrets replaced by [secret] and phone numbers masked like +49***67."""
        if self._secrets is not None:
            text = self._secrets.sub("[secret]", text)
        return _PHONE.sub(lambda match: f"{match[0][:3]}***{match[0][-2:]}", text)


def _parts(value: str) -> Iterator[str]:
    value = unquoted(value)
    if value.startswith("{"):
        try:
            yield from (part for part in json.loads(value).values() if isinstance(part, str))
        except ValueError:
            yield value
    elif "://" in value:
        try:
            password = urlsplit(value).password or ""
        except ValueError:
            password = ""
        yield from (value, password, unquote(password))
    else:
        yield from (value, *secret_list(value))


class Logger:
    """Writes one JSON line per call; fields may be any JSON value."""

    __slots__ = ("_fields", "_redact")

    def __init__(self, redact: Redactor, fields: Mapping[str, object] | None = None) -> None:
        self._redact = redact
        self._fields = dict(fields or {})

    def bind(self, **fields: object) -> Self:
        """Return a logger that adds `fields` to every line."""
        return type(self)(self._redact, {**self._fields, **fields})

    def debug(self, event: str, /, **fields: object) -> None:
        """Log a detail for debugging."""
        self._write("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Log an event."""
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Log a problem that needs attention eventually."""
        self._write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Log a problem that needs attention now."""
        self._write("error", event, fields)

    def exception(self, event: str, error: BaseException, /, **fields: object) -> None:
        """Log an unexpected exception with its traceback."""
        trace = "".join(traceback.format_exception(error))
        self._write("error", event, {**fields, "traceback": trace})

    def _write(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        cleaned = {
            # The line has these keys itself, so a field of the same name gets an underscore.
            f"{name}_" if name in _RESERVED else name: self._clean(value)
            for name, value in {**self._fields, **fields}.items()
        }
        outdial_log.log(self._redact(event), level=level, error=None, **cleaned)

    def _clean(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self._redact(str(name)): self._clean(item) for name, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(item) for item in value]
        return self._redact(str(value))
