"""One look for all figures: colours that colour-blind readers can tell apart, sizes that can be read in print."""

from __future__ import annotations

from typing import Any

NETWORK = "#0072B2"
BASELINE = "#D55E00"
TRAIN = "#0072B2"
VALIDATION = "#E69F00"
TEST = "#009E73"
ACCENT = "#CC79A7"
QUIET = "#8C8C8C"
INK = "#222222"
# Okabe & Ito 2008; also told apart by line style or marker wherever two meet.
SETS = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "purged": QUIET}
LINES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
DIVERGING = "PuOr_r"
"""Signed values, 0 in the middle: orange is positive, purple negative; told apart by colour-blind readers."""

NARROW = 4.8
"""Inches. A picture this wide fills a narrow screen and half of a wide one, and its text can be read on both."""
WIDE = 9.6
TEXT = 9.0
SMALL = 8.0
MANY_POINTS = 1500
"""Beyond, a picture holds its points as pixels."""


def tidy(axes: Any, *, x: str = "", y: str = "") -> Any:
    """Label the axes and leave out the frame's upper and right line; returns `axes`."""
    axes.set_xlabel(x, fontsize=TEXT)
    axes.set_ylabel(y, fontsize=TEXT)
    axes.tick_params(labelsize=SMALL)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return axes


def legend_above(axes: Any, *, columns: int = 3) -> None:
    """Put the legend above the axes, where it hides nothing."""
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), columnspacing=1.1,
                    ncols=min(columns, len(handles)), handletextpad=0.5, borderaxespad=0.2)  # fmt: skip


def colour_bar(figure: Any, image: Any, axes: Any, label: str) -> None:
    """Draw what the colours of an image mean."""
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
