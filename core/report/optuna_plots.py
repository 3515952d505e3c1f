"""Optuna's own plots and importances, of the study rebuilt in memory from its records."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from core.report.drawing import inline
from core.report.format import plain
from core.report.parameters import dimensions
from core.report.rows import RUNNING, Row
from core.report.summary import Summary
from core.search.distributions import NORMAL

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

FEWEST = 4  # trials that importances take
WIDE = 50
PARAMETERS, TRIALS = 6, 150  # drawn in one plot, at most
SIZES = {"slice": (5.0, 3.0)}  # inches; Optuna draws half that width for each parameter
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "gantune", "font.size": 9}


def rebuilt(summary: Summary, rows: Sequence[Row]) -> optuna.Study:
    """A study in memory with these trials, but those whose values lie outside the search space.

    Its parameters are the values that trials took.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    states: dict[str, TrialState] = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
    space = _distributions(summary)
    study = optuna.create_study(direction="maximize" if summary.maximize else "minimize")
    for row in rows:
        names = [n for n in row.searched or summary.searched if n in space and n in row.params]
        try:
            trial = create_trial(
                state=states.get(row.outcome, TrialState.FAIL),
                value=row.score if row.completed else None,
                params={name: _shown(row.params[name], space[name]) for name in names},
                distributions={name: space[name] for name in names},
                constraints=row.violations,
            )
            times = row.about.get("started") or row.ended, row.ended
            trial.datetime_start, trial.datetime_complete = (
                datetime.fromisoformat(time).replace(tzinfo=None) for time in times
            )
        except (TypeError, ValueError, OverflowError):
            continue
        study.add_trial(trial)
    return study


def _distributions(summary: Summary) -> dict[str, BaseDistribution]:
    """By parameter; from the values tried where the space declares none, or no plain numbers."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    declared = dimensions(summary.space)
    found: dict[str, BaseDistribution] = {}
    for name in summary.searched:
        d = declared.get(name)
        values = [row.params[name] for row in summary.candidates if name in row.params]
        if d and d.kind not in NORMAL and (d.plain or d.kind != "choice"):
            found[name] = d.distribution
        elif values and all(type(value) in (int, float) for value in values):
            low, high = float(min(values)), float(max(values))
            found[name] = FloatDistribution(low, high, log=low > 0 and high / low > WIDE)
        elif values:
            found[name] = CategoricalDistribution(list(dict.fromkeys(map(plain, values))))
    return {name: distribution for name, distribution in found.items() if not distribution.single()}


def _shown(value: Any, distribution: BaseDistribution) -> Any:
    """A value that the distribution has; choices that are no plain values are texts."""
    choices = getattr(distribution, "choices", None)
    return value if choices is None or value in choices else plain(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither Optuna's log nor its warnings that these plots are experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        yield
    optuna.logging.set_verbosity(before)


@_quiet()
def importances(summary: Summary) -> dict[str, float]:
    """Optuna's importances (PED-ANOVA), the largest first, adding up to 1; {} where none show."""
    from optuna.importance import get_param_importances

    study = rebuilt(summary, summary.candidates)
    scores = [trial.value for trial in study.get_trials(deepcopy=False)]
    if len(scores) < FEWEST or len(set(scores)) < 2:
        return {}
    found = get_param_importances(study, normalize=False)
    total = sum(found.values())
    return {n: v / total for n, v in found.items()} if 0 < total < math.inf else {}


@_quiet()
def optuna_plots(summary: Summary, shares: Mapping[str, float]) -> tuple[dict[str, str], list[str]]:
    """SVG by name, of the parameters with the largest shares; and what could not be drawn."""
    import matplotlib
    import optuna.visualization.matplotlib as visual
    from matplotlib import pyplot as plt

    rows = [row for row in summary.rows if row.outcome != RUNNING]
    study = rebuilt(summary, rows[:: -(-len(rows) // TRIALS) or 1])
    tried = {name for trial in study.get_trials(deepcopy=False) if trial.values
             for name in trial.params}  # fmt: skip
    names = [name for name in shares or sorted(tried) if name in tried][:PARAMETERS]
    score: dict[str, Any] = {"target_name": summary.objective}
    plots: dict[str, Callable[[], object]] = {
        "slice": partial(visual.plot_slice, study, names, **score),
        "parallel coordinates": partial(visual.plot_parallel_coordinate, study, names, **score),
        "contour": partial(visual.plot_contour, study, names[:2], **score),
        "distribution of scores": partial(visual.plot_edf, study, **score),
        "timeline": partial(visual.plot_timeline, study),
    }
    if len(names) == 1:
        del plots["contour"]
    drawn, failed, backend = {}, [], matplotlib.get_backend()
    with matplotlib.rc_context():
        plt.switch_backend("agg")
        for name, plot in plots.items() if names else ():
            matplotlib.rcParams |= STYLE | {"figure.figsize": SIZES.get(name, (7.5, 3.8))}
            try:
                plot()
                plt.suptitle("")
                for axes in plt.gcf().axes:
                    axes.set_title("")
                drawn[name] = inline(plt.gcf(), f"optuna-{name.split()[0]}", bbox_inches="tight")
            except Exception as error:  # what Optuna cannot draw must not cost the page
                failed.append(f"{name}: {error}")
            finally:
                plt.close("all")
        plt.switch_backend(backend)
    return drawn, failed
