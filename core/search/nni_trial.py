"""One trial of an NNI experiment that `nnictl` runs, in a process of its own.

NNI's config says once for tuner and assessor whether to maximize, and cannot ask the task. So NNI
is always given something to maximize: a score that is better when lower has its sign turned.

NNI 3.0 gives the parameters of trials that start together to whichever asks first, and records,
shows and resumes them as if it had not. So a trial writes down what it received, and goes on with
that whatever NNI gives it after `nnictl resume`; and the number that our tuner gives a trial comes
with its parameters, and goes back with its metrics.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from core.files import read_json, write_json
from core.params import add_param_flags, validate_params
from core.record import Record
from core.search.config import check_pruner, pruner_argument
from core.search.space import flatten
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task

PRUNED_AFTER = "pruned_after"
TRIAL = "_trial"
RUNG = 1_000_000  # a trial that stops at a rung has the rung's epoch times this in its number
GUARD = "guard: "


@dataclass(frozen=True)
class NniTrial:
    """The trial that NNI started this process for."""

    params: Params
    searched: Mapping[str, Any]
    study: str
    workdir: Path
    number: int
    objective: Objective
    tag: str | None = None
    pruner: str = "none"
    rung: int = 0
    engine: ClassVar[str] = "nni"

    @property
    def until(self) -> int:
        """The epoch after which it stops for now: its rung where the tuner has rungs."""
        return self.rung or self.params.epochs

    def report(self, epoch: int, score: Score) -> bool:
        """Report the epoch's score; True where the pruner that the trial runs itself stops it.

        NNI's assessor stops trials by a signal, never from here. The last epoch's score is only
        reported as the final one: an assessor would stop the trial in between.
        """
        nni = _nni()
        if epoch < self.until:
            nni.trial.overwrite_intermediate_seq(epoch - 1)
            try:
                nni.report_intermediate_result(self._metric(score))
            except OSError:  # `nnictl stop` closes the channel seconds before it signals the trials
                signal.raise_signal(signal.SIGINT)
        return self.pruner != "none" and self._hopeless()

    def finish(self, outcome: Outcome) -> None:
        """Report a finite final score; none where the trial did not come to one.

        A trial that pruned itself reports its last score, so that NNI's own tuners learn from it.
        """
        nni, score = _nni(), outcome.score
        with suppress(OSError):  # NNI has gone: the record has it all
            if outcome.kind is OutcomeKind.COMPLETED and score:
                nni.report_final_result(self._metric(score))
            elif outcome.kind is OutcomeKind.PRUNED and score:
                epoch = len(Record(self.workdir).epochs())
                nni.report_final_result({**self._metric(score), PRUNED_AFTER: epoch})
            elif outcome.kind in (OutcomeKind.DIVERGED, OutcomeKind.COLLAPSED):
                from core.search.samplers import FAR

                broken = {str(outcome.kind): FAR}
                nni.report_final_result(self._metric(Score(self.objective.worst, {}, broken)))

    def _hopeless(self) -> bool:
        """Ask Optuna's pruner, by the records of the experiment's other trials on this disk."""
        import optuna
        from optuna.trial import create_trial

        from core.search.samplers import make_pruner

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = make_pruner(self.pruner, self.params.epochs)
        study = optuna.create_study(direction=self.objective.direction, pruner=pruner)
        for other in map(Record, self.workdir.parent.iterdir()):
            outcome = other.outcome()
            if outcome and outcome.kind is OutcomeKind.COMPLETED and outcome.score:
                steps = {line.epoch: line.score.value for line in other.epochs()}
                study.add_trial(create_trial(value=outcome.score.value, intermediate_values=steps))
        trial = study.ask()
        for line in Record(self.workdir).epochs():
            trial.report(line.score.value, line.epoch)
        return bool(trial.should_prune())

    def _metric(self, score: Score) -> dict[str, Any]:
        """NNI's form of a score: it maximizes `default`; its web portal shows the parts."""
        metric: dict[str, Any] = {"default": _sign(self.objective) * float(score.value)}
        metric |= {k: float(v) for k, v in score.parts.items()}
        metric |= {f"{GUARD}{k}": float(v) for k, v in score.violations.items()}
        return metric if self.tag is None else metric | {TRIAL: self.tag}


def present() -> bool:
    """Whether NNI started this process."""
    return "NNI_PLATFORM" in os.environ


def _nni() -> ModuleType:
    """The package nni; at first only what trials need of it, since all of it takes a second.

    The rest is loaded as soon as anyone asks for it. NNI 3.0 is the last: its modules stay.
    """
    spec = None if "nni" in sys.modules else find_spec("nni")
    if spec and spec.loader:
        loader, nni = spec.loader, module_from_spec(spec)

        def load_all(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            delattr(nni, "__getattr__")
            setattr(log, "_init_logger", lambda: None)  # noqa: B010 - twice would be an error
            loader.exec_module(nni)
            return getattr(nni, name)

        sys.modules["nni"] = nni
        log, common = import_module("nni.runtime.log"), import_module("nni.common")
        log._init_logger()
        trial = import_module("nni.trial")
        vars(nni).update({name: getattr(trial, name) for name in trial.__all__})
        vars(nni).update(dump=common.dump, load=common.load, __getattr__=load_all)
    return sys.modules["nni"]


def next_trial(
    params: type[Params],
    overrides: Mapping[str, Any],
    runs: Path,
    objective: Objective,
    pruner: str = "none",
) -> NniTrial:
    """Ask NNI for the parameters; flags fill the rest. UserError for parameters it cannot take."""
    nni = _nni()
    study = f"nni-{nni.get_experiment_id()}"
    workdir = own = runs / study / nni.get_trial_id()
    received = flatten(nni.get_next_parameter())
    point = read_json(workdir / "nni.json") or received
    number = point.get(TRIAL)
    searched = {k: v for k, v in point.items() if k != TRIAL}
    source = "NNI's search space (searchSpaceFile of the experiment)"
    validated = validate_params(params, {**overrides, **searched}, source)
    check_pruner(pruner, validated.epochs)
    write_json(own / "nni.json", point)
    rung = 0 if number is None else number // RUNG
    if number is not None and rung:
        workdir = _begun(workdir, number % RUNG)
    tag = None if number is None else tag_of(nni.get_experiment_id(), number)
    number = nni.get_sequence_id() if number is None else number % RUNG
    return NniTrial(validated, searched, study, workdir, number, objective, tag, pruner, rung)


def _begun(workdir: Path, number: int) -> Path:
    """The folder in which the trial of this number has begun, on this disk; else its own."""
    for other in sorted(workdir.parent.glob("*/trial.json")):
        if read_json(other.with_name("nni.json")).get(TRIAL, -1) % RUNG == number:
            return other.parent
    return workdir


def tag_of(experiment: str, number: int) -> str:
    """The tag in a trial's metrics by which our tuner knows whose they are."""
    return f"{experiment}-{number}"


def outcome_of(metric: Any, objective: Objective) -> Outcome:
    """What a final metric says of its trial: `NniTrial.finish`'s, or a number to maximize.

    A metric without a number is a failed trial, one that is not finite a diverged one.
    """
    entries = metric if isinstance(metric, Mapping) else {"default": metric}
    parts = {str(k): float(v) for k, v in entries.items() if _is_number(v) and k != TRIAL}
    if "default" not in parts:
        return Outcome(OutcomeKind.FAILED, f"its final metric is no number: {metric!r}")
    value = _sign(objective) * parts.pop("default")
    if not math.isfinite(value):
        return Outcome(OutcomeKind.DIVERGED, f"its final metric is {value}")
    finite = {k: v for k, v in parts.items() if math.isfinite(v)}
    guards = {k: finite.pop(k) for k in list(finite) if k.startswith(GUARD)}
    score = Score(value, finite, {k.removeprefix(GUARD): v for k, v in guards.items()})
    if PRUNED_AFTER in score.parts:
        return Outcome(OutcomeKind.PRUNED, f"hopeless after epoch {parts[PRUNED_AFTER]:.0f}", score)
    return Outcome(OutcomeKind.COMPLETED, "", score)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _sign(objective: Objective) -> int:
    return 1 if objective.direction == "maximize" else -1


def trial_parser(task: Task) -> argparse.ArgumentParser:
    """The flags of `python -m trials.TASK`, which NNI's trialCommand runs."""
    parser = argparse.ArgumentParser(
        prog=f"python -m trials.{task.name}",
        description=f"One trial of {task.name}: {task.summary}. Every default is the published "
        "baseline's. Inside an NNI experiment, NNI's parameters take precedence over these flags.",
    )
    add = parser.add_argument
    add("--runs", type=Path, default=Path("runs"), help="folder of records (default: runs)")
    add("--study", default="standalone", help="study to file the trial under (default: standalone)")
    add("--trial", help="name of the trial; an unfinished one continues (default: the time)")
    add(
        "--pruner",
        type=pruner_argument("median", "none"),
        default="none",
        help="inside NNI: the pruner that the trial runs itself: median or, from epoch 3 on, "
        "median:3 (default: none)",
    )
    message = "inside NNI: train though the evaluator has failed its exam"
    add("--ignore-exam", action="store_true", help=message)
    add_param_flags(parser, task.params)
    return parser
