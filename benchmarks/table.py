"""What benchmarks share: Markdown tables, and the .md file beside each that keeps its figures.

The prose of such a file is written by hand. A benchmark replaces its tables, and the line that says
where they come from: the first one that begins with a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from core.files import write_bytes
from core.training.provenance import provenance


def table(head: Sequence[str], rows: Iterable[Sequence[object]], text: int = 1) -> str:
    """A Markdown table; the first `text` columns are aligned left, the others right."""
    marks = ["---"] * text + ["---:"] * (len(head) - text)
    lines = [" | ".join(map(str, cells)) for cells in (head, marks, *rows)]
    return "".join(f"| {line} |\n" for line in lines)


def origin(*packages: str) -> str:
    """The command, the date, the machine, versions of packages and the commit, in one line."""
    facts = provenance()
    versions = [f"{name} {facts['versions'][name]}" for name in packages]
    date, commit = f"{datetime.now(UTC):%Y-%m-%d}", f"commit {facts['git'][:12]}"
    return ", ".join([f"`{facts['command']}`", date, facts["machine"], *versions, commit])


def filled(text: str, source: str, *tables: str) -> str:
    """The text of an .md file with other tables, in their order, and another origin."""
    prose = re.split(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    text = "".join(map("".join, zip(prose, [*tables, ""], strict=True)))
    command = re.compile(r"^`(?:python|gantune) .*$", re.MULTILINE)
    return command.sub(lambda _: f"{source}.", text, count=1)


def save(benchmark: str, source: str, *tables: str) -> None:
    """Print the tables, and keep them in the .md file beside a benchmark's `__file__`, if any."""
    print(*tables, sep="\n")
    path = Path(benchmark).with_suffix(".md")
    if path.is_file():  # its prose is somebody's
        write_bytes(path, filled(path.read_text(encoding="utf-8"), source, *tables).encode())
