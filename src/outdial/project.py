"""Directories like `supabase`: Outdial's own functions and migrations, and the project's `./supabase` laid over them.

Outdial's own are in the installed package, or in the repository when it runs from there.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from outdial.settings import SettingError

_PACKAGE: Final = Path(__file__).parent
_NAME: Final = "supabase"


class ConfigUnreadable(SettingError):
    """config.toml is not valid TOML. The message names the file."""


def own_directory() -> Path:
    """Return the directory of Outdial's own functions and migrations. Raises SettingError without one."""
    candidates = (_PACKAGE / "_supabase", _PACKAGE.parents[1] / _NAME)
    found = next((path for path in candidates if path.is_dir()), None)
    if found is None:
        raise SettingError(
            f"this installation of Outdial is incomplete: {candidates[0]} is missing. Install the package again"
        )
    return found


def project_directory() -> Path:
    """Return the project's directory, `supabase` in the working directory. It may not exist."""
    return Path.cwd() / _NAME


def source_layers() -> tuple[Path, ...]:
    """Return Outdial's own directory, then the project's, which may not exist. In the repository they are the same."""
    own, project = own_directory(), project_directory()
    return (project,) if project.is_dir() and project.samefile(own) else (own, project)


def migration_directories() -> list[Path]:
    """Return the directories of migrations: Outdial's own, then the project's if it has one."""
    return [found for layer in source_layers() if (found := layer / "migrations").is_dir()]


def read_config(directory: Path) -> dict[str, Any]:
    """Read `config.toml` in `directory`; a missing file is an empty one. Raises ConfigUnreadable."""
    path = directory / "config.toml"
    try:
        return tomllib.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except RecursionError:
        raise ConfigUnreadable(f"{path} is nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigUnreadable(f"{path}: {error}") from error


def read_project_config() -> dict[str, Any]:
    """Read config.toml of all layers: a table of the project replaces the one with the same name of Outdial's own.

    The tables below `functions` are laid over each other by `read_source_tree`. Raises ConfigUnreadable.
    """
    config: dict[str, Any] = {}
    for layer in source_layers():
        config |= read_config(layer)
    return config
