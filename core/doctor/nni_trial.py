"""What an NNI config's trialCommand runs: one simple command, a Python, a task and its flags."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.device import cores, pick_device
from core.doctor.finding import Finding, error, warning
from core.params import cli_overrides, flag, validate_params
from core.search.nni_trial import trial_parser
from core.search.space import Space
from core.task import Task, UserError

OPERATORS = "();<>|&\n"
MISSING = "import sys, importlib.util as u; print(*(m for m in sys.argv[1:] if not u.find_spec(m)))"


@dataclass(frozen=True)
class Command:
    """A Python, the module that it runs by -m, and the words after it; '' for other programs."""

    python: str
    module: str
    words: list[str]

    @property
    def task(self) -> str:
        """The task, where it is one of gantune's trials, else ''."""
        return self.module.removeprefix("trials.") if self.module.startswith("trials.") else ""


def parse(text: str) -> Command:
    """Parse a simple shell command; ValueError says what makes it compound."""
    text = text.strip().replace("\\\n", " ")
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words = list(lexer)
    if compound := [word for word in words if word and set(word) <= {*OPERATORS}]:
        raise ValueError(" ".join(map(repr, compound)))
    while words and (words[0] == "exec" or re.match(r"[A-Za-z_]\w*=", words[0])):
        words.pop(0)
    if not words or words[0] in ("time", "!"):
        raise ValueError(" ".join(words[:1]) or "no program")
    if Path(words[0]).name in ("sh", "bash", "dash", "zsh") and "-c" in words[:-1]:
        return parse(words[words.index("-c") + 1])
    at = words.index("-m") if "-m" in words[:-1] else len(words)
    pythons = [word for word in words[:at] if re.search(r"python[\d.]*$", word)]
    return Command("".join(pythons[:1]), "".join(words[at + 1 : at + 2]), words[at + 2 :])


def check_python(where: str, command: Command, directory: Path) -> list[Finding]:
    """Whether the command's Python, seen from `directory`, finds the modules that it needs."""
    package = command.module.split(".")[0]
    if not command.python or not package:
        return []
    python = os.path.expanduser(os.path.expandvars(command.python))  # noqa: PTH111
    modules = (package, "core", "torch", "nni") if command.task else (package,)
    call = [python, "-c", MISSING, *modules]
    try:
        child = subprocess.run(call, cwd=directory, capture_output=True, encoding="utf-8")
        missing = ", ".join(child.stdout.split())
        problem = f"cannot import {missing}" if missing else ""
    except OSError as failure:
        problem = f"cannot be run ({failure.strerror})"
    what = f"{command.python} {problem}, seen from {directory}"
    return [error(where, what, "name a Python that has gantune")] if problem else []


def check_experiment(path: Path, config: Any, words: list[str], task: Task) -> list[Finding]:
    """Check an NNI ExperimentConfig and its trials' flags against the task that they run."""
    local = config.training_service.platform == "local"
    try:
        flags, pruner = _flags(task, words)
        params = validate_params(task.params, flags, "trialCommand")
        on_cpu = local and pick_device(params.device).type == "cpu"
        source = "searchSpaceFile" if config.search_space_file else "searchSpace"
        space = Space.parse(config.search_space, task.params, source)
        point = {**flags, **space.point()}
        validate_params(task.params, point, "trialCommand with a point of the search space")
    except UserError as mistake:
        return [error(str(path), str(mistake))]
    where, remedy = f"{path}: trialCommand", "drop the flag or the key"
    what = "is searched, too, and NNI's value goes before it"
    both = [f"{flag(name)} {flags[name]}" for name in space.fields if name in flags]
    findings = [warning(where, f"{text} {what}", remedy) for text in both]
    first = int(pruner.partition(":")[2] or 0)
    if first >= params.epochs and "epochs" not in space.fields:
        what = f"--pruner {pruner}: a trial has {params.epochs} epochs and is not stopped after "
        findings.append(error(where, what + "its last one", "name an earlier epoch"))
    concurrency, each = config.trial_concurrency, params.threads or cores()
    if on_cpu and concurrency * each > cores():
        what = f"{concurrency} at once with {each} threads each, on {cores()} CPU cores: slower "
        remedy = f"--threads {max(1, cores() // concurrency)} in trialCommand, or fewer at once"
        where = f"{path}: trialConcurrency"
        findings.append(warning(where, what + "than one after another", remedy))
    return findings


def _flags(task: Task, words: list[str]) -> tuple[dict[str, str], str]:
    """The parameters that flags set, and --pruner; UserError for a flag that a trial refuses."""
    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages), contextlib.redirect_stdout(messages):
            arguments = trial_parser(task).parse_args(words)
    except SystemExit:
        message = messages.getvalue().strip().split("error: ")[-1].split("\n")[0]
        raise UserError(f"trialCommand: {message}; see python -m trials.{task.name} -h") from None
    return cli_overrides(arguments), str(arguments.pruner)
