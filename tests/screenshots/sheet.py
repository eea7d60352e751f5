"""The contact sheet: all pictures on one page, a row for each state and a column for each shape."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from tests.screenshots.camera import SHAPES, Picture

STYLE = """
body { margin: 0; padding: 24px; font: 14px/20px system-ui, sans-serif; background: #e9ebef; color: #171b22; }
nav { columns: 16rem; margin-bottom: 24px; } nav a { display: block; color: inherit; }
h2 { margin: 32px 0 8px; } h3 { margin: 16px 0 4px; font-size: 14px; }
.row { display: grid; grid-template-columns: 3fr 3fr 2fr 1fr; gap: 12px; align-items: start; }
figure { margin: 0; min-width: 0; } figcaption { color: #5a6473; font-size: 12px; }
img { display: block; width: 100%; height: auto; max-height: 70vh; border: 1px solid #cfd5dd; }
img { object-fit: cover; object-position: top; background: white; }
.fault { color: #a8231f; overflow-wrap: anywhere; }
"""


def write_sheet(directory: Path, pictures: Sequence[Picture]) -> Path:
    """Write index.html beside the pictures, and return its path."""
    ordered = sorted(pictures, key=lambda each: each.page_name)
    parts, names = [], []
    for page_name, group in groupby(ordered, key=lambda each: each.page_name):
        names.append(page_name)
        parts.append(f'<h2 id="{escape(page_name)}">{escape(page_name)}</h2>')
        for title, row in groupby(group, key=lambda each: each.title):
            parts.append(_row(title, list(row)))
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Screenshots</title><style>{STYLE}</style>'
        f"<h1>{len(pictures)} pictures of {len(names)} pages</h1><nav>{links}</nav>{''.join(parts)}</html>"
    )
    index = directory / "index.html"
    index.write_text(text)
    return index


def _row(title: str, pictures: Sequence[Picture]) -> str:
    cells = []
    for shape in SHAPES:
        found = [each for each in pictures if each.shape == shape.name]
        cells.append("".join(_figure(each) for each in found) or "<figure></figure>")
    return f'<h3>{escape(title)}</h3><div class="row">{"".join(cells)}</div>'


def _figure(picture: Picture) -> str:
    faults = "".join(f'<p class="fault">{escape(fault)}</p>' for fault in picture.faults)
    file, title = escape(picture.file), escape(picture.title)
    image = f'<a href="{file}"><img loading="lazy" src="{file}" alt="{title}"></a>' if file else ""
    return f"<figure>{image}<figcaption>{escape(picture.shape)}</figcaption>{faults}</figure>"
