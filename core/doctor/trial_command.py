"""An NNI config's trialCommand: one simple command, a program that is there, what it reports."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from core.doctor.finding import Finding, error, note

OPERATORS = set("();<>|&")
KEYWORDS = {"if", "for", "while", "until", "case", "select", "function", "time", "!", "{", "[["}
PYTHON = re.compile(r"python[\d.]*$")
SHELLS = {"sh", "bash", "dash", "zsh"}
ONE = "make it one simple command"
FIND = """
import importlib.util, json, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(json.dumps([name for name in sys.argv[1:] if not there(name)]))
"""


@dataclass(frozen=True)
class Command:
    """A trialCommand taken apart: its program, and the module or script with its own words."""

    text: str
    program: str
    module: str = ""
    script: str = ""
    words: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        """The task, where it is one of our trials."""
        return self.module.removeprefix("trials.") if self.module.startswith("trials.") else ""

    @classmethod
    def parse(cls, text: str) -> Command:
        """Take a simple command apart; ValueError says what makes it none."""
        words = simple(text)
        at = words.index("-m") if "-m" in words[:-1] else len(words)
        pythons = [word for word in words[:at] if PYTHON.match(Path(word).name)]
        program = (pythons or words)[0]  # env, nice, uv run ... before it are their own business
        if at < len(words):
            return cls(text, program, module=words[at + 1], words=words[at + 2 :])
        scripts = [word for word in words[1:] if word.endswith(".py")]
        return cls(text, program, script=scripts[0] if scripts else "", words=words[1:])


def simple(text: str) -> list[str]:
    """The words of a simple shell command, assignments before it left out.

    Raises ValueError, saying what makes it compound: NNI's signals then reach the shell alone.
    """
    text = text.strip().replace("\\\n", " ")
    if "\n" in text:
        raise ValueError("several lines")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    if operators := [word for word in words if word and set(word) <= OPERATORS]:
        raise ValueError(" ".join(dict.fromkeys(operators)))
    while words and re.match(r"[A-Za-z_]\w*=", words[0]):
        words.pop(0)
    if words and words[0] == "exec":
        words.pop(0)
    if not words:
        raise ValueError("no program")
    if words[0] in KEYWORDS:
        raise ValueError(words[0])
    if Path(words[0]).name in SHELLS and "-c" in words[:-1]:
        return simple(words[words.index("-c") + 1])
    return words


def check(where: str, text: str, directory: Path | None) -> tuple[Command | None, list[Finding]]:
    """Check a trialCommand that runs in `directory`; None where it runs on another machine."""
    where = f"{where}: trialCommand"
    try:
        command = Command.parse(text)
    except ValueError as problem:
        what = f"{text.strip()!r} is no simple command ({problem}): NNI stops a trial by a signal "
        what += "to the shell, and Python would go on running"
        return None, [error(where, what, ONE)]
    if directory is None or not directory.is_dir():
        return command, []
    program = _program(command.program, directory)
    if not program:
        what = f"there is no program {command.program!r}, seen from {directory}"
        return command, [error(where, what, "name a Python that has gantune")]
    if command.task:
        return command, _modules(where, command, program, directory)
    what = f"{text.strip()!r} is not one of gantune's trials: it must report a number, or a dict "
    what += "with a numeric `default`, at its end"
    return command, [note(where, what), *_custom(where, command, program, directory)]


def _program(name: str, directory: Path) -> str:
    """The path of a program as the shell finds it from `directory`; '' where there is none."""
    path = os.path.expanduser(os.path.expandvars(name))  # noqa: PTH111
    return shutil.which(directory / path if os.sep in path else path) or ""


def _modules(where: str, command: Command, program: str, directory: Path) -> list[Finding]:
    if not PYTHON.match(Path(program).name):
        return []
    absent = _absent(program, directory, (command.module, "core.training.run", "torch", "nni"))
    if not absent:
        return []
    what = f"{command.program} cannot import {', '.join(absent)}, seen from {directory}"
    return [error(where, what, "name a Python that has gantune")]


@lru_cache
def _absent(program: str, directory: Path, modules: tuple[str, ...]) -> list[str]:
    """Those of the modules that this Python does not find when it starts in `directory`."""
    call = [program, "-c", FIND, *modules]
    try:
        done = subprocess.run(call, cwd=directory, capture_output=True, text=True, timeout=60)
        absent: list[str] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return list(modules)
    return absent


def _custom(where: str, command: Command, program: str, directory: Path) -> list[Finding]:
    """A trial of the user's own: its file, and what it hands to nni.report_*."""
    file = directory / (command.script or f"{command.module.replace('.', '/')}.py")
    if command.script and not file.is_file():
        return [error(where, f"there is no file {file}", "trialCodeDirectory is where it starts")]
    if command.module and not file.is_file():
        return _modules(where, command, program, directory)
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError) as problem:
        return [error(file, f"cannot be read ({problem})")] if file.is_file() else []
    return [
        error(f"{file}:{call.lineno}", wrong, "report a number, or {'default': number, …}")
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and (wrong := _reported(call))
    ]


def _reported(call: ast.Call) -> str:
    """What is wrong with what a call reports to NNI, as far as the source tells."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in ("report_final_result", "report_intermediate_result") or not call.args:
        return ""
    kills = "NNI's dispatcher dies of it while the experiment's status stays RUNNING"
    told = call.args[0]
    if isinstance(told, ast.Constant) and not isinstance(told.value, int | float):
        return f"{name}({told.value!r}) is no number: {kills}"
    if not isinstance(told, ast.Dict):
        return ""
    items = {k.value: v for k, v in zip(told.keys, told.values, strict=True)
             if isinstance(k, ast.Constant)}  # fmt: skip
    if "default" not in items and len(items) == len(told.keys):
        return f"{name} gets a dict without `default`: {kills}"
    value = items.get("default")
    if isinstance(value, ast.Constant) and not isinstance(value.value, int | float):
        return f"{name} gets a `default` that is no number ({value.value!r}): {kills}"
    return ""
