"""The entrypoint of `python -m trials.TASK`: one trial, NNI's when NNI started the process."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import NoReturn

from core.metrics.exam import ExamFailed, ExamPolicy
from core.params import cli_overrides, print_user_error, validate_params
from core.record import valid_name
from core.search import nni_trial
from core.task import Task, Trial, UserError
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.signals import Interrupted, interruptible
from core.training.standalone import StandaloneTrial


def main(task: Task, argv: list[str] | None = None) -> NoReturn:
    """Run one trial: NNI's when NNI started this process, else a standalone one; then exit.

    Exit status: 0 when the trial came to a score, 1 when it failed, 2 for a user's mistake. A
    signal ends the process by that same signal, so that NNI sees a cancelled trial.
    """
    arguments = nni_trial.trial_parser(task).parse_args(argv)
    exam: ExamPolicy = "skip"  # a search's trials run under an evaluator that passes its exam
    if nni_trial.present():
        exam = "sit" if arguments.ignore_exam else "pass"
    try:
        with interruptible(), Progress() as progress:
            trial = _trial(task, arguments)
            outcome = run_trial(task, trial, progress, arguments.runs, exam)
            progress.say(f"record: {trial.workdir}")
    except (UserError, OSError) as error:
        sys.exit(print_user_error(error))
    except ExamFailed as error:
        sys.exit(f"error: {error}")
    except Interrupted as error:
        signal.signal(error.signum, signal.SIG_DFL)
        os.kill(os.getpid(), error.signum)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing left to save: no traceback at exit
    sys.exit(0 if outcome.kind.reported else 1)


def _trial(task: Task, arguments: argparse.Namespace) -> Trial:
    overrides = cli_overrides(arguments)
    if nni_trial.present():
        runs, pruner = arguments.runs, arguments.pruner
        return nni_trial.next_trial(task.params, overrides, runs, task.objective, pruner)
    params = validate_params(task.params, overrides)
    name = arguments.trial or time.strftime("%Y%m%d-%H%M%S")
    workdir = arguments.runs / valid_name(arguments.study) / valid_name(name)
    return StandaloneTrial(params, arguments.study, workdir)
