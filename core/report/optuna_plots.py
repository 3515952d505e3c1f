"""Optuna's own plots and importances, of the study rebuilt in memory from its records."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.report.drawing import inline
from core.report.format import plain
from core.report.parameters import dimensions
from core.report.rows import RUNNING, Row
from core.report.summary import Summary
from core.search.distributions import NORMAL
from core.task import OutcomeKind

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

FEWEST = 4  # trials that importances take
WIDE = 50
PARAMETERS, TRIALS, VECTOR = 6, 300, 100  # drawn in one plot, at most; trials drawn as vectors
SIZES = {"slice": (5.0, 3.0)}  # inches; Optuna draws half that width for each parameter
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "gantune", "savefig.dpi": 120, "font.size": 9}


def rebuilt(summary: Summary, rows: Sequence[Row]) -> optuna.Study:
    """A study in memory with these trials, but those whose values lie outside the search space.

    Its parameters are the values that trials took.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    states: dict[str, TrialState] = {
        OutcomeKind.COMPLETED: TrialState.COMPLETE,
        OutcomeKind.PRUNED: TrialState.PRUNED,
    }
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
            trial.datetime_start = _time(row.about.get("started") or row.ended)
            trial.datetime_complete = _time(row.ended)
        except (TypeError, ValueError, OverflowError):
            continue
        study.add_trial(trial)
    return study


def _time(text: str) -> datetime:
    """UTC, as plainly as Optuna takes it."""
    return datetime.fromisoformat(text).replace(tzinfo=None)


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


def importances(summary: Summary) -> dict[str, float]:
    """Optuna's importances (PED-ANOVA), the largest first, adding up to 1; {} where none show."""
    from optuna.importance import get_param_importances

    if len(summary.candidates) < FEWEST:
        return {}
    with _quiet():
        study = rebuilt(summary, summary.candidates)
        if len({trial.value for trial in study.get_trials(deepcopy=False)}) < 2:
            return {}
        found = get_param_importances(study, normalize=False)
    total = sum(found.values())
    return {n: v / total for n, v in found.items()} if 0 < total < math.inf else {}


def optuna_plots(summary: Summary, shares: Mapping[str, float]) -> tuple[dict[str, str], list[str]]:
    """SVG by name, of the parameters with the largest shares; and what could not be drawn."""
    import optuna.visualization.matplotlib as visual

    rows = [row for row in summary.rows if row.outcome != RUNNING]
    with _quiet():
        study = rebuilt(summary, rows[:: -(-len(rows) // TRIALS) or 1])
    trials = study.get_trials(deepcopy=False)
    tried = {name for trial in trials if trial.values for name in trial.params}
    names = [name for name in shares or sorted(tried) if name in tried][:PARAMETERS]
    value: dict[str, Any] = {"target_name": summary.objective}
    plots: dict[str, Callable[[], object]] = {
        "slice": lambda: visual.plot_slice(study, names, **value),
        "parallel coordinates": lambda: visual.plot_parallel_coordinate(study, names, **value),
        "contour": lambda: visual.plot_contour(study, names[:2], **value),
        "distribution of scores": lambda: visual.plot_edf(study, **value),
        "timeline": lambda: visual.plot_timeline(study),
    }
    if len(names) == 1:
        del plots["contour"]
    return _drawn(plots, len(trials) > VECTOR) if names else ({}, [])


def _drawn(
    plots: Mapping[str, Callable[[], object]], rasterized: bool
) -> tuple[dict[str, str], list[str]]:
    """The SVG of what draws on pyplot's figure; and what failed, with the error."""
    import matplotlib
    from matplotlib import pyplot as plt

    drawn, failed, backend = {}, [], matplotlib.get_backend()
    with _quiet(), matplotlib.rc_context():
        plt.switch_backend("agg")
        for name, plot in plots.items():
            matplotlib.rcParams |= STYLE | {"figure.figsize": SIZES.get(name, (7.5, 3.8))}
            try:
                plot()
                plt.suptitle("")
                for axes in plt.gcf().axes:
                    axes.set_title("")
                    for points in axes.collections:
                        points.set_rasterized(rasterized)
                drawn[name] = inline(plt.gcf(), f"optuna-{name.split()[0]}", bbox_inches="tight")
            except Exception as error:  # what Optuna cannot draw must not cost the page
                failed.append(f"{name}: {error}")
            finally:
                plt.close("all")
        plt.switch_backend(backend)
    return drawn, failed


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither Optuna's log nor its warnings that these plots are experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
