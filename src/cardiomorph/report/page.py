"""One self-contained HTML page: sections of text, tables and pictures, a verdict on top.

All markup is made here, from templates that escape what they are given: names and texts come from files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from cardiomorph.evaluation.verdict import Verdict
from cardiomorph.report.figures import as_data_uri

_TEMPLATES = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_NOTHING = Markup()


@dataclass(frozen=True)
class Section:
    """A part of the page. ``table`` is markup of this module; ``figures`` are by file name."""

    title: str
    text: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    table: Markup = _NOTHING


def _filled(template: str, **values: object) -> Markup:
    return Markup(_TEMPLATES.from_string(template).render(values))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, cells: str = "") -> Markup:
    """A table of text; the first cell of a row is its heading.

    Args:
        cells: class of the cells, as "reason" for sentences.
    """
    return _filled(
        "<table>{% if header %}<tr>{% for cell in header %}<th>{{ cell }}</th>{% endfor %}</tr>{% endif %}"
        "{% for row in rows %}<tr><th>{{ row[0] }}</th>"
        '{% for cell in row[1:] %}<td{% if cells %} class="{{ cells }}"{% endif %}>{{ cell }}</td>{% endfor %}</tr>'
        "{% endfor %}</table>",
        header=header,
        rows=rows,
        cells=cells,
    )


def collapsible(summary: str, content: Markup) -> Markup:
    """Content behind a line that opens it."""
    return _filled("<details><summary>{{ summary }}</summary>{{ content }}</details>", summary=summary, content=content)


def preformatted(text: str) -> Markup:
    """Text whose lines and blanks stay as they are."""
    return _filled("<pre>{{ text }}</pre>", text=text)


def verdict_table(found: Sequence[Verdict]) -> Markup:
    """The first screen: a row an area."""
    return _filled(
        '<table class="verdict">{% for v in found %}<tr><th>{{ v.area }}</th>'
        '<td><span class="word {{ v.word.split()[0] }}">{{ v.word }}</span></td>'
        '<td class="reason">{{ v.reason }}</td></tr>{% endfor %}</table>',
        found=found,
    )


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


_PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8">\
<meta name="viewport" content="width=device-width, initial-scale=1">\
<title>Cardiomorph: {{ title }}</title><style>{{ style }}</style></head><body><h1>Cardiomorph</h1>\
<p>{{ title }}. Synthetic hearts are for research; not for clinical use.</p>{{ verdict }}\
<nav>{% for section in sections %}<a href="#s{{ loop.index }}">{{ section.title }}</a>{% endfor %}</nav>\
{% for section in sections %}<section id="s{{ loop.index }}"><h2>{{ section.title }}</h2><p>{{ section.text }}</p>\
{{ section.table }}{% for name in section.figures %}\
<img alt="{{ section.title }}: {{ name }}" src="{{ pictures[name] }}">{% endfor %}</section>{% endfor %}\
</body></html>
"""


def page(title: str, verdict: Markup, sections: Sequence[Section], pictures: Mapping[str, bytes]) -> str:
    """The page as HTML.

    Args:
        title: plain text.
        verdict: markup of the first screen.
        pictures: PNG bytes of every section's figures, by name.
    """
    shown = {name: as_data_uri(content) for name, content in pictures.items()}
    filled = _filled(
        _PAGE,
        title=title,
        verdict=verdict,
        sections=sections,
        pictures=shown,
        style=Markup(_STYLE),
    )
    return f"{filled}\n"
