"""docs/cli.md is generated from the help texts of the commands."""

from pathlib import Path

from outdial.cli.reference import render

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(), "run: python -m outdial.cli.reference > docs/cli.md"


def test_the_page_describes_every_command() -> None:
    page = PAGE.read_text()
    for command in ("dev", "demo", "dialer --", "simulator", "campaign watch", "inbox replay", "contacts dnc add"):
        assert f"outdial {command.removesuffix(' --')}" in page
    assert "db keep" not in page
