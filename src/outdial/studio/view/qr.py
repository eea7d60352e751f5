"""QR codes as SVG, drawn here: the text of a code never leaves the studio."""

from typing import Final

import segno
from markupsafe import Markup

_MODULE_PX: Final = 5


def qr_svg(text: str, title: str) -> Markup:
    """Return an SVG of the QR code of `text`, dark on white in either theme, because apps look for that."""
    svg = segno.make(text, error="m", micro=False).svg_inline(
        scale=_MODULE_PX, dark="#000", light="#fff", title=title, svgclass="qr", lineclass=None, omitsize=False
    )
    # Markup without attributes of the text: segno escapes the title, and the code is paths.
    return Markup(svg)
