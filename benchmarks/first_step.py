"""Runs a module of gantune's, and says on stderr when its first training step begins.

    python -m benchmarks.first_step core.cli:main tune cyclegan ...

Workers import this module, too, as every program's main one: theirs are the steps of `tune`.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODEL, MARK = "core.models.cyclegan", "first training step at"


def watch(module: ModuleType) -> None:
    """Have the model's first step print the time."""
    step = module.CycleTraining.step

    def timed(self: Any, batch: Any) -> Any:
        module.CycleTraining.step = step
        print(f"\n{MARK} {time.time()}", file=sys.stderr, flush=True)
        return step(self, batch)

    module.CycleTraining.step = timed


class Watch(MetaPathFinder):
    """Waits for the model to be imported: importing it here would be part of what is measured."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The model's own spec, and `watch` once it is imported."""
        if name != MODEL or not (spec := PathFinder.find_spec(name, path)) or not spec.loader:
            return None
        execute = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (execute(module), watch(module))  # type: ignore
        return spec


if MODEL in sys.modules:
    watch(sys.modules[MODEL])
else:
    sys.meta_path.insert(0, Watch())
if __name__ == "__main__":
    place, _, function = sys.argv[1].partition(":")
    sys.argv = [place.rpartition(".")[2], *sys.argv[2:]]
    module = importlib.import_module(place)
    sys.exit(getattr(module, function)() if function else module.main(module.TASK))
