"""How a page looks on a wide and a narrow screen and in print, and the script that sorts its tables."""

STYLE = """
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
figure { margin: 0; max-width: 34rem; min-width: 0; } figure.wide { grid-column: 1 / -1; max-width: 62rem; }
figure .scroll { margin: 0; } figure img { width: 100%; height: auto; display: block; }
.figure-title { font-weight: 600; margin: 0 0 .3rem; }
figcaption { font-size: .9rem; color: var(--soft); margin-top: .3rem; }
nav li { margin: 0 0 .3rem; break-inside: avoid; }
nav ol { columns: 13rem; margin: 0; padding-left: 1.6rem; max-width: none; } nav { margin: 1rem 0; font-size: .95rem; }
a { color: #00588c; } .tall { max-height: 32rem; overflow-y: auto; border-bottom: 1px solid var(--line); }
.tall thead th { position: sticky; top: 0; background: #fff; }
table caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer;
  text-align: inherit; }
.sortable td { white-space: nowrap; } .sortable th { white-space: normal; max-width: 8rem; vertical-align: bottom; }
th button::after { content: "\\00a0↕"; opacity: .45; }
th[aria-sort=ascending] button::after { content: "\\00a0↑"; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\00a0↓"; opacity: 1; }
th button:focus-visible, a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 2px solid #00588c; }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--soft); }
code, pre { font: .85em/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f6f6f4; padding: .6rem .8rem; }
.answer ul { margin: .3rem 0 0; max-width: none; padding-left: 1.3rem; }
@media (max-width: 50rem) { figure.wide figcaption::after { content: " The picture scrolls sideways."; } }
@media (max-width: 40rem) { body { font-size: 15px; } main { padding: .8rem .8rem 2rem; } h1 { font-size: 1.3rem; }
  th, td { padding-right: .6rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; } }
@media print { main { max-width: none; padding: 0; } body { font-size: 10.5pt; }
  figure, tr, .answer { break-inside: avoid; }
  h2, .figure-title { break-after: avoid; } .scroll, .tall { overflow: visible; max-height: none; }
  details > * { display: block; } details::details-content { content-visibility: visible; height: auto; }
  .figures { grid-template-columns: 1fr 1fr; } figure img { min-width: 0 !important; } th button::after { content: ""; }
  table { font-size: 8pt; } nav { display: none; } figure.wide figcaption::after { content: ""; } }
""".strip()

SORTING = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = Array.from(body.rows).map((row) => [row.cells[column].dataset.sort ?? "", row]);
      rows.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const x = Number(a), y = Number(b);
        const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
        return up ? order : -order;
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
""".strip()
