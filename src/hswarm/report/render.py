"""A run's facts as one page: HTML without outside resources, Markdown, or the graph alone as SVG or Mermaid.

Questions, answers and names are other people's text: the templates escape every value, and the page forbids scripts.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hswarm import __version__, io
from hswarm.errors import RunError, UserError
from hswarm.report.glossary import Glossary
from hswarm.report.messages import Question
from hswarm.report.summary import RunSummary, tried

FORMS = {".html": "one HTML page", ".md": "Markdown", ".svg": "the graph as SVG", ".mmd": "the graph as Mermaid"}


def write_page(facts: RunSummary, path: Path, refresh: int = 0) -> None:
    """Write `facts` in the form that the suffix of `path` names; `refresh` > 0: a page that reloads so often (s)."""
    if path.suffix == ".html":
        text = html_page(facts, refresh)
    elif path.suffix == ".md":
        text = markdown_page(facts)
    elif path.suffix in FORMS:
        if facts.topology is None:
            raise RunError("there is no graph to draw before the first iteration has ended; try again then")
        text = facts.drawing + "\n" if path.suffix == ".svg" else facts.mermaid
    else:
        known = ", ".join(f"{suffix} ({what})" for suffix, what in FORMS.items())
        raise UserError(f"cannot tell what to write from the name {path.name}; expected the ending {known}")
    io.write_text(path, _clean(text))


def html_page(facts: RunSummary, refresh: int = 0, links: Mapping[str, str] = {}) -> str:
    """The whole page, UTF-8, with `links` to other pages by their text."""
    charts = {name: Markup(svg) for name, svg in facts.charts.items()}  # drawn here, names in them escaped
    return (
        _templates()
        .get_template("report.html")
        .render(
            facts=facts,
            charts=charts,
            drawing=Markup(facts.drawing),
            refresh=refresh,
            links=links,
            version=__version__,
            glossary=Glossary(),
        )
    )


def list_page(title: str, lines: Sequence[str], links: Mapping[str, str], refresh: int = 0) -> str:
    """A page of `lines` and of `links` by their text, in the report's style."""
    page = _templates().get_template("list.html")
    return page.render(title=title, lines=lines, links=links, refresh=refresh, version=__version__)


def question_page(question: Question, links: Mapping[str, str], refresh: int = 0) -> str:
    """The messages on the way to the answer of one question, in the report's style."""
    page = _templates().get_template("question.html")
    return page.render(question=question, links=links, refresh=refresh, version=__version__)


def markdown_page(facts: RunSummary) -> str:
    """The whole page as Markdown with a Mermaid graph."""
    return _templates().get_template("report.md").render(facts=facts, version=__version__, glossary=Glossary())


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("hswarm.report", "templates"),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Markup) else _clean(value),
    )
    made.filters.update(inline=inline, fenced=_fenced, three=_three, signed=_signed, tried=tried, address=_address)
    made.globals["style"] = lambda: Markup(made.get_template("report.css").render())
    return made


def _clean(value: Any) -> Any:
    """Text without what no page may hold: controls but for line ends and tabs, halves of pairs, turned directions."""
    return (
        re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]", "�", value)
        if isinstance(value, str)
        else value
    )


def inline(value: Any) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(value).split()))
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", escape(line, quote=False)).replace("://", ":&#47;/")


def _fenced(value: Any) -> str:
    """Text as a block of code: the fence is longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", str(value))), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{value}\n{fence}"


def _address(svg: str) -> str:
    """A picture as a data address: read from the run's folder, so it stands in a page as an image, without rights."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode(errors="replace")).decode()


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def pages(facts: RunSummary) -> Mapping[str, str]:
    """The page and the graph in every form, by file name."""
    graph = {"graph.svg": facts.drawing, "graph.mmd": facts.mermaid} if facts.topology else {}
    return graph | {"report.html": html_page(facts), "report.md": markdown_page(facts)}
