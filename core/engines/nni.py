"""NNI proposes: this process is one trial of an experiment that `nnictl` runs.

NNI's config says whether to maximize, once for tuner and assessor, and cannot ask the task. So it
is always told of something to maximize: a score that is better when lower has its sign turned.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.flags import make
from core.space import flatten
from core.task import Ending, Objective, Outcome, Params, Score


@dataclass(frozen=True)
class NniTrial:
    """The trial NNI started this process for."""

    params: Params
    searched: Mapping[str, Any]
    study: str
    workdir: Path
    number: int
    objective: Objective
    engine: ClassVar[str] = "nni"

    def report(self, epoch: int, score: Score) -> bool:
        """Give NNI the epoch's score; its assessor stops trials by a signal, never from here.

        The last epoch's is the final score: an assessor would stop the trial while it says so.
        """
        import nni

        if epoch < self.params.epochs:
            nni.trial.overwrite_intermediate_seq(epoch - 1)
            try:
                nni.report_intermediate_result(self._metric(score))
            except OSError:  # `nnictl stop` closes the channel seconds before it signals the trials
                signal.raise_signal(signal.SIGINT)
        return False

    def finish(self, ending: Ending) -> None:
        """Give NNI a finite final score; none where the trial did not come to a verdict."""
        import nni

        with suppress(OSError):  # NNI has gone: the record has it all
            if ending.outcome is Outcome.COMPLETED and ending.score:
                nni.report_final_result(self._metric(ending.score))
            elif ending.outcome in (Outcome.DIVERGED, Outcome.COLLAPSED):
                nni.report_final_result({"default": self._sign * self.objective.worst})

    @property
    def _sign(self) -> int:
        return 1 if self.objective.direction == "maximize" else -1

    def _metric(self, score: Score) -> dict[str, float]:
        """NNI's form of a score: it maximizes `default`, the parts are for its web portal."""
        parts = {k: float(v) for k, v in score.parts.items()}
        return {"default": self._sign * float(score.value)} | parts


def present() -> bool:
    """Whether NNI started this process."""
    return "NNI_PLATFORM" in os.environ


def next_trial(
    params: type[Params], given: Mapping[str, Any], runs: Path, objective: Objective
) -> NniTrial:
    """Ask NNI for the parameters; flags fill the rest. UserError for parameters it cannot take."""
    import nni

    searched = flatten(nni.get_next_parameter())
    where = "NNI's search space (searchSpaceFile of the experiment)"
    made = make(params, {**given, **searched}, where)
    study = f"nni-{nni.get_experiment_id()}"
    workdir = runs / study / nni.get_trial_id()
    return NniTrial(made, searched, study, workdir, nni.get_sequence_id(), objective)
