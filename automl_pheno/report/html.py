"""Pieces of one self-contained page: no network, legible on a wide and on a narrow screen and in print.

Text is escaped where it enters; what is already HTML is `Markup`.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from typing import Literal

from automl_pheno.report.page_style import SORTING, STYLE

Tone = Literal["good", "watch", "bad", "quiet"]

MARKS: dict[Tone, str] = {"good": "●", "watch": "▲", "bad": "■", "quiet": "○"}
"""One shape a tone, so that nothing is said by colour alone."""


_LEAST_PIXELS = 78
"""An inch is drawn at least this many pixels wide: 8 points are 8.7 pixels high, which can just be read."""


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return a value as HTML text; `Markup` stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(str(value)))


def tag(name: str, content: object, *, css: str = "") -> Markup:
    """Return an element with escaped content, for example ``tag("p", "a < b")``."""
    attribute = f' class="{css}"' if css else ""
    return Markup(f"<{name}{attribute}>{escape(content)}</{name}>")


def join(parts: Iterable[object], between: str = "\n") -> Markup:
    """Return escaped parts one after another."""
    return Markup(between.join(escape(part) for part in parts))


def marked(tone: Tone, words: object) -> Markup:
    """Return words behind the shape and in the colour of a tone."""
    return Markup(f'<span class="mark {tone}"><span aria-hidden="true">{MARKS[tone]}</span> {escape(words)}</span>')


def answer(tone: Tone, title: object, lines: Iterable[object]) -> Markup:
    """Return the box with which a page begins: the answer, and what it rests on."""
    body = join(tag("p", line) for line in lines)
    return Markup(f'<div class="answer {tone}">{tag("p", marked(tone, title), css="title")}{body}</div>')


def inline(text: str) -> Markup:
    """Return a sentence with ``**bold**`` and code in backticks as HTML."""
    safe = html.escape(text, quote=False)
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", safe)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", bold))


def link(target: str, words: object) -> Markup:
    """Return a link to a file beside the page or to a place on it."""
    return Markup(f'<a href="{html.escape(target)}">{escape(words)}</a>')


def bullets(lines: Iterable[object]) -> Markup:
    """Return a list."""
    return Markup(f"<ul>{join(tag('li', line) for line in lines)}</ul>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]], *, numeric: Collection[int] = ()) -> Markup:
    """Return a table that scrolls by itself where the screen is narrow.

    Parameters
    ----------
    numeric
        Numbers of the columns, from 0, that are set to the right.
    """

    def cells(name: str, values: Sequence[object]) -> Markup:
        return join((tag(name, value, css="number" if i in numeric else "") for i, value in enumerate(values)), "")

    body = join(tag("tr", cells("td", row)) for row in rows)
    head = tag("tr", cells("th", header))
    return Markup(f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>')


def sortable(
    header: Sequence[object],
    rows: Iterable[Sequence[tuple[object, object]]],
    *,
    numeric: Collection[int] = (),
    caption: str = "",
) -> Markup:
    """Return a table whose columns sort on a click or a key; without a script it is a table as any other.

    Parameters
    ----------
    rows
        Of each cell what is shown and by what it is sorted: a number, a text, or None where nothing is known, which
        comes last either way.
    numeric
        Numbers of the columns, from 0, that are set to the right.
    caption
        What the table holds, for readers who do not see it.
    """

    def cell(column: int, shown: object, key: object) -> Markup:
        css = ' class="number"' if column in numeric else ""
        by = "" if key is None else html.escape(repr(float(key)) if isinstance(key, Real) else str(key))
        return Markup(f'<td{css} data-sort="{by}">{escape(shown)}</td>')

    body = join(tag("tr", join((cell(i, *one) for i, one in enumerate(row)), "")) for row in rows)
    heads = join(
        (
            Markup(f'<th scope="col"{" class=number" if i in numeric else ""}>{escape(name)}</th>')
            for i, name in enumerate(header)
        ),
        "",
    )
    said = Markup(f"<caption>{html.escape(caption)}</caption>") if caption else ""
    table_ = f'<table class="sortable">{said}<thead>{tag("tr", heads)}</thead><tbody>{body}</tbody></table>'
    return Markup(
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="{html.escape(caption)}">{table_}</div>'
    )


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Return names and values, one below another."""
    return Markup(f"<dl>{join(Markup(tag('dt', name) + tag('dd', value)) for name, value in pairs)}</dl>")


def figure(svg: bytes, title: str, caption: str, *, inches: float, wide: bool = False) -> Markup:
    """Return an SVG picture, inside the page itself, its title above it and how to read it below.

    Parameters
    ----------
    inches
        Width in which it was drawn; on a narrow screen it scrolls rather than shrinks until it cannot be read.
    wide
        Let it take the width of two.
    """
    data = base64.b64encode(svg).decode("ascii")
    least = f"min-width:{inches * _LEAST_PIXELS:.0f}px"
    image = f'<img alt="{html.escape(title)}" style="{least}" src="data:image/svg+xml;base64,{data}">'
    css = ' class="wide"' if wide else ""
    head = tag("p", title, css="figure-title")
    return Markup(f'<figure{css}>{head}<div class="scroll">{image}</div>{tag("figcaption", caption)}</figure>')


def figures(pictures: Iterable[Markup]) -> Markup:
    """Return figures side by side where there is room."""
    return Markup(f'<div class="figures">{join(pictures)}</div>')


def section(title: str, *parts: object, name: str = "") -> Markup:
    """Return a part of the page under a heading; empty where there is nothing to show.

    Parameters
    ----------
    name
        By which `contents` finds it.
    """
    shown = [escape(part) for part in parts if part]
    place = f' id="{html.escape(name)}"' if name else ""
    return Markup(f"<section{place}>{tag('h2', title)}{join(shown)}</section>") if shown else Markup("")


def contents(places: Iterable[tuple[str, str]]) -> Markup:
    """Return links to the sections of a page, given as names and titles."""
    lines = join(tag("li", link(f"#{name}", title)) for name, title in places)
    return Markup(f'<nav aria-label="Contents"><ol>{lines}</ol></nav>')


def folded(title: str, *parts: object) -> Markup:
    """Return details that open on a click; in print they are open."""
    return Markup(f"<details>{tag('summary', title)}{join(parts)}</details>")


def page(title: str, *parts: object, sorting: bool = False) -> str:
    """Return the whole page.

    Parameters
    ----------
    sorting
        It has a `sortable` table.
    """
    body = join([tag("h1", title), *(part for part in parts if part)])
    script = f"<script>{SORTING}</script>\n" if sorting else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{tag('title', title)}\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n{script}"
        "</body>\n</html>\n"
    )
