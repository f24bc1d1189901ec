"""A picture of a report: drawn once, then put into a page, an SVG file and a PNG file with how to read it."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.registry import Registry
from automl_pheno.report.read import RunFiles
from automl_pheno.report.style import INK, NARROW

DPI = 150
LITERAL = {"text.parse_math": False, "axes.formatter.use_mathtext": False}
"""Names from the data may hold a dollar sign, which is no mathematics."""
POINTS = 72.0
"""Of an inch."""
_TITLE, _CAPTION, _LINE, _EDGE = 11.0, 8.5, 11.5, 6.0
_CHARACTERS_AN_INCH = 15.0
_SOFT = "#444444"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A figure with its words.

    Attributes
    ----------
    figure
        A Matplotlib ``Figure`` without title and caption.
    title
        What it shows.
    caption
        How to read it.
    warning
        What must be said with it wherever it goes; stands in the files, a page says it once for all.
    """

    figure: Any
    title: str
    caption: str
    warning: str = ""

    @property
    def axes(self) -> list[Any]:
        """All axes of the figure."""
        return list(self.figure.axes)

    @property
    def inches(self) -> float:
        """Width."""
        return float(self.figure.get_figwidth())


PictureMaker = Callable[[RunFiles], "Picture | None"]
FIGURES: Registry[PictureMaker] = Registry("figure")
"""Name of the file -> what makes the picture of a run, or None where the run has no data for it."""


def new_picture(title: str, caption: str, *, width: float = NARROW, height: float = 3.2) -> Picture:
    """Return a picture with an empty figure.

    Parameters
    ----------
    width, height
        Inches, without title and caption.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return Picture(figure=figure, title=title, caption=caption)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendered:
    """A picture as bytes, the same for the same data.

    Attributes
    ----------
    plain
        SVG of the figure alone, for a page that sets the words itself.
    svg, png
        With title and caption.
    """

    plain: bytes
    svg: bytes
    png: bytes


def render(picture: Picture) -> Rendered:
    """Draw the picture; its layout is fixed from then on."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with mpl.rc_context({**LITERAL, "svg.hashsalt": "automl-pheno"}):
        pixels = _pixels(picture.figure)  # first: letters of pixels are the widest, and need the room
        picture.figure.set_layout_engine("none")  # one layout for all files, and no second search for it
        picture.figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
        plain = _shortened(buffer.getvalue())
        return Rendered(plain=plain, svg=_framed_svg(picture, plain), png=_framed_png(picture, pixels))


def _shortened(svg: bytes) -> bytes:
    """Leave out what no reader needs: metadata, and more than two decimals of a point in paths."""
    without = re.sub(rb"<metadata>.*?</metadata>\s*", b"", svg, flags=re.S)
    return re.sub(rb'(?<= d=")[^"]+', lambda path: re.sub(rb"(\.\d\d)\d+", rb"\1", path.group()), without)


def _framed_svg(picture: Picture, plain: bytes) -> bytes:
    """Return the figure's SVG with its title above and its caption below."""
    head = re.search(rb'<svg[^>]*?width="([\d.]+)pt" height="([\d.]+)pt" viewBox="0 0 ([\d.]+) ([\d.]+)"', plain)
    if head is None:  # Matplotlib writes another head one day: the figure alone is still right
        return plain
    width, height = float(head.group(3)), float(head.group(4))
    titles, lines = _wrapped(picture)
    above, below = _heights(titles, lines)
    total = height + above + below
    said = [
        _text(line, _TITLE, -above + _EDGE + _TITLE * (1.35 * number + 0.9), bold=True)
        for number, line in enumerate(titles)
    ]
    said += [_text(line, _CAPTION, height + _LINE * (number + 0.9)) for number, line in enumerate(lines)]
    ground = f'<rect x="0" y="{-above:.1f}" width="{width:g}" height="{total:.1f}" fill="#ffffff"/>'
    opening = head.group().decode()
    framed = re.sub(r'height="[\d.]+pt" viewBox="[^"]+"', f'height="{total:.1f}pt" viewBox="0 {-above:.1f} {width:g} '
                    f'{total:.1f}"', opening)  # fmt: skip
    end = plain.index(b">", head.end()) + 1
    tail = plain[end:].rpartition(b"</svg>")[0]
    start = plain[: head.start()] + framed.encode() + plain[head.end() : end]
    return start + ground.encode() + tail + "".join(said).encode() + b"</svg>\n"


def _text(line: str, size: float, y: float, *, bold: bool = False) -> str:
    look = f'font-weight="bold" fill="{INK}"' if bold else f'fill="{_SOFT}"'
    family = "DejaVu Sans, Verdana, Arial, sans-serif"
    return f'<text x="{_EDGE}" y="{y:.1f}" font-family="{family}" font-size="{size}" {look}>{escape(line)}</text>'


def _framed_png(picture: Picture, figure: npt.NDArray[np.uint8]) -> bytes:
    """Return the figure as PNG with its title above and its caption below."""
    from matplotlib.figure import Figure
    from matplotlib.image import imsave

    titles, lines = _wrapped(picture)
    above, below = _heights(titles, lines)
    width = picture.inches
    parts = [figure]
    for height, text, size, colour, weight in (
        (above, titles, _TITLE, INK, "bold"),
        (below, lines, _CAPTION, _SOFT, "normal"),
    ):
        words = Figure(figsize=(width, height / POINTS))
        place = _EDGE if weight == "bold" else 0.0
        words.text(_EDGE / POINTS / width, 1.0 - place / height, "\n".join(text), fontsize=size, color=colour,
                   va="top", ha="left", fontweight=weight, parse_math=False)  # fmt: skip
        parts.append(_pixels(words))
    _, head, foot = parts
    buffer = io.BytesIO()
    imsave(buffer, np.vstack([head, figure, foot]), format="png", dpi=DPI)
    return buffer.getvalue()


def _pixels(figure: Any) -> npt.NDArray[np.uint8]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DPI)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]


def _wrapped(picture: Picture) -> tuple[list[str], list[str]]:
    characters = int(picture.inches * _CHARACTERS_AN_INCH)
    titles = textwrap.wrap(picture.title, int(characters * _CAPTION / _TITLE * 0.92)) or [""]
    warning = textwrap.wrap(f"Read first: {picture.warning}", characters) if picture.warning else []
    return titles, [*textwrap.wrap(picture.caption, characters), *warning] or [""]


def _heights(titles: list[str], lines: list[str]) -> tuple[float, float]:
    """Return the room above and below the figure, points."""
    return _EDGE + 1.35 * _TITLE * len(titles) + 3.0, _LINE * len(lines) + _EDGE
