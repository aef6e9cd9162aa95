"""One self-contained HTML page: sections of text, tables and pictures, a verdict on top."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from cardiomorph.evaluation.verdict import Verdict
from cardiomorph.report.figures import as_data_uri


@dataclass(frozen=True)
class Section:
    """A part of the page. ``table`` is HTML; ``figures`` are by file name."""

    title: str
    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    table: str = ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of escaped text; the first cell of a row is its heading."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr><th>{html.escape(row[0])}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def folded(summary: str, content: str) -> str:
    """Content behind a line that opens it."""
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def verdict_table(found: Sequence[Verdict]) -> str:
    """The first screen: a row an area."""
    rows = "".join(
        f'<tr><th>{html.escape(v.area)}</th><td><span class="word {v.word.split()[0]}">{v.word}</span></td>'
        f'<td class="reason">{html.escape(v.reason)}</td></tr>'
        for v in found
    )
    return f'<table class="verdict">{rows}</table>'


_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;font-size:12px;display:block;overflow-x:auto}
td,th{border-bottom:1px solid #ddd;padding:.25rem .5rem;text-align:right;white-space:nowrap}
th{text-align:left}img{max-width:100%;display:block;margin:1rem 0}
.verdict{font-size:14px}.verdict td.reason{text-align:left;white-space:normal}
.word{padding:.1rem .6rem;border-radius:1rem;color:#fff;background:#666}
.inside{background:#1a7f4b}.near{background:#9a6700}.outside{background:#b3261e}
nav{font-size:13px;margin:1rem 0}nav a{margin-right:1rem;color:inherit}
pre{font-size:11px;overflow-x:auto;background:#f6f6f6;padding:1rem}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}td,th{border-color:#444}
pre{background:#222}img{background:#fff}}
"""


def page(title: str, verdict: str, sections: Sequence[Section], pictures: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        title: plain text.
        verdict: HTML of the first screen.
        pictures: PNG bytes of every section's figures, by name.
    """
    parts, links = [], []
    for number, section in enumerate(sections, 1):
        shown = "".join(
            f'<img alt="{html.escape(section.title)}: {name}" src="{as_data_uri(pictures[name])}">'
            for name in section.figures
        )
        links.append(f'<a href="#s{number}">{html.escape(section.title)}</a>')
        parts.append(
            f'<section id="s{number}"><h2>{html.escape(section.title)}</h2><p>{html.escape(section.text)}</p>'
            f"{section.table}{shown}</section>"
        )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Cardiomorph: {html.escape(title)}</title><style>{_STYLE}</style></head><body><h1>Cardiomorph</h1>"
        f"<p>{html.escape(title)}. Synthetic hearts are for research; not for clinical use.</p>{verdict}"
        f"<nav>{''.join(links)}</nav>{''.join(parts)}</body></html>\n"
    )
