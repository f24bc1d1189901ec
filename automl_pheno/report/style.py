"""One look for all figures: colours that colour-blind readers can tell apart, sizes that can be read in print."""

from __future__ import annotations

import textwrap
from typing import Any

NETWORK = "#0072B2"
BASELINE = "#D55E00"
TRAIN = "#0072B2"
VALIDATION = "#E69F00"
TEST = "#009E73"
QUIET = "#8C8C8C"
INK = "#222222"
# Okabe & Ito 2008; also told apart by line style or marker wherever two meet.
SETS = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "purged": QUIET}

TITLE = 12
TEXT = 9.5
SMALL = 8.5
CHARACTERS_AN_INCH = 15.5


def new_figure(title: str, how_to_read: str, *, width: float = 7.2, height: float = 4.2) -> Any:
    """Return an empty ``Figure`` with a title and, below it, a sentence that says how to read it.

    Parameters
    ----------
    width, height
        Inches.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = textwrap.wrap(how_to_read, int(width * CHARACTERS_AN_INCH))
    reserved = 0.17 * len(lines) / height + 0.015
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, rect=(0.008, reserved, 0.984, 1.0 - reserved))
    figure = Figure(figsize=(width, height), layout=engine)
    figure.suptitle(title, x=0.012, ha="left", fontsize=TITLE, fontweight="bold", color=INK)
    figure.text(0.012, 0.0, "\n".join(lines), fontsize=SMALL, color="#444444", va="bottom", ha="left")
    return figure


def tidy(axes: Any, *, x: str = "", y: str = "") -> Any:
    """Label the axes and leave out the frame's upper and right line; returns `axes`."""
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes
