"""The examples of the documents, and a copy of this checkout in which tests follow them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
GANTUNE = "import sys; from core.cli import main; sys.exit(main())"
# A fenced block, with the HTML comment before it: `<!-- space: glyph_gan -->`.
BLOCK = re.compile(r"(?:^<!-- (\w+): (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a document: its language and text, and what the comment before it says."""

    language: str
    text: str
    key: str
    value: str


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a Markdown file."""
    found = BLOCK.findall(document.read_text(encoding="utf-8"))
    return [Block(language, text, key, value) for key, value, language, text in found]


class Checkout:
    """A copy of the files that git tracks or would track, as a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(folder)}
        for name in self._git(ROOT, "ls-files", "-co", "--exclude-standard").splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self._git(folder, "init", "--quiet")
        self._git(folder, "add", "--all")
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        self._git(folder, *identity, "commit", "--quiet", "--message", "as it was")

    def write(self, name: str, text: str) -> None:
        """Write a file that must not have been there."""
        with (self.folder / name).open("x", encoding="utf-8") as file:
            file.write(text)

    def changes(self) -> list[str]:
        """What `git status` lists, sorted: `?? trials/new.py`."""
        return sorted(self._git(self.folder, "status", "--short", "-uall").splitlines())

    def gantune(self, *words: str) -> str:
        """Run the checkout's own `gantune`; returns what it printed."""
        return self.python("-c", GANTUNE, *words)

    def python(self, *words: str) -> str:
        """Run Python in the checkout; returns what it printed."""
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def _git(self, folder: Path, *words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
