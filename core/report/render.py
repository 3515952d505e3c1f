"""Fills templates: each page, Markdown file and sentence that a reader sees lies in templates/."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from inspect import getmembers, isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.report import format as fmt

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


@cache
def environment() -> Environment:
    """The environment of all templates; in those named *.html.j2 text is escaped.

    Filters are the functions of `core.report.format` by their names. A name that is not in the
    context is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {"sha256": _sha256, "code_spans": _code_spans}
    found.filters |= {**dict(getmembers(fmt, isfunction)), **own}
    found.globals["count"] = fmt.count
    return found


def _code_spans(text: str) -> Markup:
    """Escaped HTML of a sentence, its words between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _sha256(text: str) -> str:
    """In base64, as a Content-Security-Policy takes it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def render(template: str, context: Mapping[str, Any]) -> str:
    """The text of a template of templates/, filled with the context."""
    return environment().get_template(template).render(context)


def sentences(template: str, context: Mapping[str, Any]) -> list[str]:
    """The items of a text template, each on one line: empty lines or a leading dash part them."""
    items = re.split(r"\n\s*\n|^- ", render(template, context), flags=re.MULTILINE)
    return [line for item in items if (line := re.sub(r"[ \t\n]+", " ", item).strip())]


def sentence(template: str, context: Mapping[str, Any]) -> str:
    """The text of a template of plain text on one line."""
    return " ".join(sentences(template, context))
