"""Pieces of one self-contained page: no network, legible on a wide and on a narrow screen and in print.

Text is escaped where it enters; what is already HTML is `Markup`.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

Tone = Literal["good", "watch", "bad", "quiet"]

MARKS: dict[Tone, str] = {"good": "●", "watch": "▲", "bad": "■", "quiet": "○"}
"""One shape a tone, so that nothing is said by colour alone."""


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


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Return names and values, one below another."""
    return Markup(f"<dl>{join(Markup(tag('dt', name) + tag('dd', value)) for name, value in pairs)}</dl>")


def figure(svg: bytes, title: str, caption: str, *, wide: bool = False) -> Markup:
    """Return an SVG picture, inside the page itself, and below it how to read it.

    Parameters
    ----------
    title
        Stands in the picture; here it is for readers who do not see it.
    wide
        Let it take the width of two.
    """
    data = base64.b64encode(svg).decode("ascii")
    image = f'<img alt="{html.escape(title)}. {html.escape(caption)}" src="data:image/svg+xml;base64,{data}">'
    css = ' class="wide"' if wide else ""
    return Markup(f"<figure{css}>{image}{tag('figcaption', caption)}</figure>")


def figures(pictures: Iterable[Markup]) -> Markup:
    """Return figures side by side where there is room."""
    return Markup(f'<div class="figures">{join(pictures)}</div>')


def section(title: str, *parts: object) -> Markup:
    """Return a part of the page under a heading; empty where there is nothing to show."""
    shown = [escape(part) for part in parts if part]
    return Markup(f"<section>{tag('h2', title)}{join(shown)}</section>") if shown else Markup("")


def folded(title: str, *parts: object) -> Markup:
    """Return details that open on a click; in print they are open."""
    return Markup(f"<details>{tag('summary', title)}{join(parts)}</details>")


def page(title: str, *parts: object) -> str:
    """Return the whole page."""
    body = join([tag("h1", title), *(part for part in parts if part)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{tag('title', title)}\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


_STYLE = """
:root { color-scheme: light; --ink: #222; --soft: #555; --line: #d9d9d9; --good: #00694d; --watch: #8a5a00;
  --bad: #a63a00; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .4rem 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .4rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p, ul { margin: .5rem 0; max-width: 48rem; }
li { margin: .25rem 0; }
.answer { border-left: .4rem solid var(--soft); background: #f6f6f4; padding: .8rem 1rem; margin: 0 0 1rem; }
.answer.good { border-color: var(--good); } .answer.watch { border-color: #e69f00; }
.answer.bad { border-color: #d55e00; }
.answer p { max-width: none; } .answer .title { font-size: 1.15rem; font-weight: 600; margin-top: 0; }
.answer p:last-child { margin-bottom: 0; }
.mark.good { color: var(--good); } .mark.watch { color: var(--watch); } .mark.bad { color: var(--bad); }
.mark.quiet { color: var(--soft); } .mark { font-weight: 600; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .92rem; min-width: 18rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } .number { text-align: right; font-variant-numeric: tabular-nums; }
.number, td:first-child, .mark { white-space: nowrap; } .title .mark { white-space: normal; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem; font-size: .92rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.2rem 2rem;
  align-items: start; margin: .8rem 0; }
figure { margin: 0; max-width: 34rem; } figure.wide { grid-column: 1 / -1; max-width: 52rem; overflow-x: auto; }
figure.wide img { min-width: 36rem; } figure img { width: 100%; height: auto; display: block; }
figcaption { font-size: .9rem; color: var(--soft); margin-top: .3rem; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
code, pre { font: .85em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f6f6f4; padding: .6rem .8rem; }
@media (max-width: 40rem) { body { font-size: 15px; } main { padding: .8rem .8rem 2rem; } h1 { font-size: 1.3rem; }
  th, td { padding-right: .6rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
@media print { main { max-width: none; padding: 0; } body { font-size: 10.5pt; }
  figure, tr, .answer { break-inside: avoid; }
  h2 { break-after: avoid; } .scroll { overflow: visible; } details > * { display: block; }
  .figures { grid-template-columns: 1fr 1fr; } figure.wide img { min-width: 0; } }
""".strip()
