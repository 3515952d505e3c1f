"""The command `gantune`."""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from core import __version__
from core.record import valid_name
from core.task import Outcome, Task, UserError

if TYPE_CHECKING:
    from core.engines.optuna import Search
    from core.progress import Progress

SAMPLERS = ("tpe", "random")
PRUNERS = ("median", "hyperband", "none")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status: 0 done, 1 failed, 2 a user's mistake, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        arguments = _parser(argv).parse_args(argv)
        return int(arguments.command(arguments))
    except (UserError, OSError) as error:
        from core.flags import report_mistake

        return report_mistake(error)
    except KeyboardInterrupt:
        return 130


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gantune",
        description="Find the loss weights, learning rates and dropout that make a GAN work.",
    )
    parser.add_argument("--version", action="version", version=f"gantune {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: object, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(command=command)
        sub.add_argument("--runs", type=Path, default=Path("runs"), help="where all is kept (runs)")
        return sub

    add("tasks", tasks, "what can be tuned, a line each")
    _tune_flags(add("tune", tune, "search a task's parameters with Optuna"), argv)
    sub = add("report", report, "write a study's report: an HTML page, report.md, best.json")
    sub.add_argument("study", nargs="?", help="the study's name")
    sub.add_argument("--nni", metavar="EXPERIMENT", help="an NNI experiment's id instead")
    sub = add("dashboard", dashboard, "optuna-dashboard on the default storage, with the pictures")
    sub.add_argument("--storage", help="an Optuna storage URL (default: the file under --runs)")
    sub.add_argument("--host", default="127.0.0.1", help="the address to serve on (127.0.0.1)")
    sub.add_argument("--port", type=int, default=8080, help="the port to serve on (8080)")
    return parser


def _tune_flags(sub: argparse.ArgumentParser, argv: list[str]) -> None:
    """The search's flags, and the task's own once a task is named."""
    sub.add_argument("task", help="what to tune; `gantune tasks` lists them")
    sub.add_argument("--study", type=str, help="the study's name (default: the task's)")
    sub.add_argument("--trials", type=_positive, default=20, help="trials in total (20)")
    sub.add_argument("--space", type=Path, help="search space (search_spaces/TASK.json)")
    sub.add_argument("--storage", help="Optuna storage URL (SQLite under --runs)")
    sub.add_argument("--sampler", choices=SAMPLERS, default="tpe", help="who proposes (tpe)")
    sub.add_argument("--pruner", choices=PRUNERS, default="median", help="who stops (median)")
    sub.epilog = "`gantune tune TASK --help` shows the task's own parameters too."
    words = argv[1:] if argv[:1] == ["tune"] else []
    named = [word for word in words if word in task_summaries()]
    if named or (words and not words[0].startswith("-")):
        from core.flags import add_flags

        add_flags(sub, load_task(named[0] if named else words[0]).params)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_positive.__name__ = "whole number above 0"


def task_summaries() -> dict[str, str]:
    """The tasks under trials/, with the first line of each file; nothing is imported."""
    spec = find_spec("trials")
    folders = spec.submodule_search_locations if spec else None
    files = sorted(p for f in folders or () for p in Path(f).glob("[!_]*.py"))
    return {path.stem: _first_line(path) for path in files}


def _first_line(path: Path) -> str:
    try:
        return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
    except (SyntaxError, ValueError) as error:
        return f"cannot be read: {error}"


def load_task(name: str) -> Task:
    """The TASK of trials/<name>.py; UserError, with the tasks there are, when there is none."""
    if name not in task_summaries():
        raise UserError(f"no task {name!r}; there are: {', '.join(task_summaries())}")
    task: Task = importlib.import_module(f"trials.{name}").TASK
    return task


def tasks(arguments: argparse.Namespace) -> int:
    """List what can be tuned."""
    for name, summary in task_summaries().items():
        print(f"{name:<20} {summary}")
    return 0


def tune(arguments: argparse.Namespace) -> int:
    """Search; a second call on the same study goes on with it."""
    from core.signals import Interrupted, interruptible

    task = load_task(arguments.task)
    try:
        with interruptible():
            return _search(task, arguments)
    except Interrupted as error:
        again = "the same command goes on with the study"
        print(f"stopped by {error}; nothing is lost: {again}", file=sys.stderr)
        return 128 + error.signum


def _search(task: Task, arguments: argparse.Namespace) -> int:
    """Search, report; the exit status: 1 when no trial of the study completed."""
    from core.progress import Progress
    from core.run import run_trial

    with Progress(arguments.trials, task.objective.direction == "maximize") as progress:
        search = _prepare(task, arguments, progress)
        for number, ending in search.ended():
            value = ending.score.value if ending.score else None
            progress.seen(ending.outcome, value, number)
        for trial in search.trials(arguments.trials):
            run_trial(task, trial, progress, arguments.runs)
    _write_report(arguments.runs, search.folder.name)
    return 0 if progress.ended.get(Outcome.COMPLETED) else 1


def _prepare(task: Task, arguments: argparse.Namespace, progress: Progress) -> Search:
    """Check everything before any training, prepare the judge, open the study."""
    from core.device import use
    from core.engines.optuna import default_storage, open_search
    from core.flags import flag, given, make
    from core.record import provenance, write_json
    from core.run import prepare
    from core.space import Space

    fixed = given(arguments)
    params = make(task.params, fixed)
    space_file = arguments.space or task.search_space
    space = Space.load(space_file, task.params)
    if both := [d.name for d in space.dimensions if d.name in fixed]:
        raise UserError(f"{flag(both[0])}: {space_file} searches it; drop the flag or the key")
    name = valid_name(arguments.study or task.name)
    use(params)
    task.load(params)
    storage = arguments.storage or default_storage(arguments.runs)
    how = (arguments.sampler, arguments.pruner, params.seed)
    search = open_search(arguments.runs, name, storage, task, space, fixed, *how)
    prepare(task, params, progress, arguments.runs)
    about = {"task": task.name, "engine": "optuna", "trials": arguments.trials}
    about |= {"space": space.source, "sampler": arguments.sampler, "pruner": arguments.pruner}
    write_json(search.folder / "study.json", {**about, **provenance()})
    return search


def report(arguments: argparse.Namespace) -> int:
    """Write the report of a study, or of an NNI experiment."""
    if (arguments.study is None) == (arguments.nni is None):
        raise UserError("name one study, or one NNI experiment by --nni")
    _write_report(arguments.runs, arguments.study or f"nni-{arguments.nni}")
    return 0


def _write_report(runs: Path, name: str) -> None:
    from core.record import Study, read_json
    from core.report import write_report

    page = write_report(Study.open(runs, valid_name(name)))
    print(read_json(page.with_name("best.json"))["verdict"])
    print(f"report: {page}")


def dashboard(arguments: argparse.Namespace) -> int:
    """Serve optuna-dashboard until Ctrl-C."""
    from optuna.artifacts import FileSystemArtifactStore
    from optuna.exceptions import OptunaError
    from optuna_dashboard import run_server
    from sqlalchemy.exc import SQLAlchemyError

    from core.engines.optuna import artifact_folder, default_storage

    if not arguments.storage and not (arguments.runs / "gantune.db").is_file():
        raise UserError(f"no study under {arguments.runs}/; `gantune tune` makes one")
    storage = arguments.storage or default_storage(arguments.runs)
    store = FileSystemArtifactStore(artifact_folder(arguments.runs))
    print(f"http://{arguments.host}:{arguments.port}/ (Ctrl-C ends it)", flush=True)
    try:
        run_server(storage, arguments.host, arguments.port, artifact_store=store)
    except (OSError, OverflowError, ValueError, SQLAlchemyError, OptunaError) as error:
        raise UserError(f"dashboard: {str(error).splitlines()[0]}") from None
    return 0
