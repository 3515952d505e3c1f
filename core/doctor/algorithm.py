"""The tuner and the assessor of an NNI config: there, able to start, and after the same thing."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.doctor.finding import Finding, error, first_line, warning

if TYPE_CHECKING:
    from nni.experiment.config import ExperimentConfig

OURS = "core.search.nni_tuner"
DIES = "NNI's dispatcher dies of it while the experiment's status stays RUNNING"


def check(where: str, config: ExperimentConfig, folder: Path, task: str) -> list[Finding]:
    """Check both; `task`: that of the trials where they are gantune's, else ''."""
    modes: dict[str, str | None] = {}
    wrong: list[Finding] = []
    for kind in ("tuner", "assessor"):
        chosen = getattr(config, kind)
        if chosen is None or isinstance(chosen, dict):  # none, or NNI's validation refuses it
            continue
        at = f"{where}: {kind}"
        arguments = chosen.class_args if isinstance(chosen.class_args, dict) else {}
        try:
            made = _class(kind, chosen, folder)
            accepted = inspect.signature(made)
            accepted.bind(**arguments)
            if made.__module__ == OURS:
                made(**arguments)
        except Exception as problem:
            name = chosen.name or chosen.class_name
            what = f"{name} cannot be made ({first_line(problem)}): {DIES}"
            wrong.append(error(at, what, "mend its name or classArgs"))
            continue
        default = getattr(accepted.parameters.get("optimize_mode"), "default", None)
        modes[kind] = arguments.get("optimize_mode", default)
        wrong += _mode(at, chosen.name or chosen.class_name, modes[kind], arguments, bool(task))
        if made.__module__ == OURS and task and arguments.get("task", task) != task:
            what = f"proposes parameters of {arguments['task']}, and the trials are {task}'s"
            remedy = f"write task: {task}, or leave it out"
            wrong.append(error(f"{at}: classArgs: task", what, remedy))
    if not task and len({mode for mode in modes.values() if mode}) > 1:
        what = f"the tuner wants to {modes['tuner']}, the assessor to {modes['assessor']}"
        wrong.append(error(f"{where}: optimize_mode", what, "one of them stops the best trials"))
    return wrong


def _class(kind: str, chosen: Any, folder: Path) -> Any:
    """The class NNI would make an instance of, found as it finds it."""
    from nni.tools.package_utils.tuner_factory import get_builtin_module_class_name

    if chosen.name:
        module, name = get_builtin_module_class_name(f"{kind}s", chosen.name)
        if not module:
            raise ValueError(f"NNI has no {kind} of this name")
        return getattr(importlib.import_module(module), name)
    module, _, name = str(chosen.class_name).rpartition(".")
    place = str((folder / (chosen.code_directory or ".")).resolve())
    sys.path.append(place)
    try:
        return getattr(importlib.import_module(module), name)
    finally:
        sys.path.remove(place)


def _mode(
    where: str, name: str, mode: object, arguments: dict[str, Any], ours: bool
) -> list[Finding]:
    if mode is None or mode is inspect.Parameter.empty or (mode == "maximize"):
        return []
    if mode != "minimize":
        what = f"optimize_mode {mode!r}: {DIES}"
        return [error(where, what, "write maximize or minimize")]
    if not ours:
        if "optimize_mode" in arguments:
            return []
        what = f"{name} minimizes unless classArgs say optimize_mode: maximize"
        return [warning(where, what, "say which you mean")]
    said = "optimize_mode: minimize" if "optimize_mode" in arguments else f"{name}'s default"
    what = f"{said} looks for the worst: gantune's trials always send something to maximize"
    return [error(where, what, "optimize_mode: maximize")]
