"""How a trial's steps are computed: precision, threads, compiled or not, as measured here.

What is fastest depends on the machine, on the networks and on the length of the run, and nothing
of it on the values that a search varies. So it is measured once for each machine and shape, kept
under `runs/compute`, and used by every trial. A run too short to repay the measuring times a step,
takes bf16 where the hardware has it and compiles nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock

from core.device import fast_bf16, hardware, thread_limit
from core.files import read_json, write_json
from core.models.compute import ComputeParams
from core.params import validate_params
from core.task import RUNTIME_FIELDS, Params, Task, UserError

SHORT = 60.0  # seconds of training in eager steps that measuring does not pay for
COLD, SAVED = 90.0, 0.4  # before it is measured: a compilation's seconds, and what it saves
WARM = 5.0  # seconds until a trial has loaded compiled networks from the cache
CLEARLY = 0.85  # of the simpler way's time: what another one must stay below
UNTIMED = {*RUNTIME_FIELDS, "seed", "epochs", "patience", "data", "recursive", "grain"}


class Way(NamedTuple):
    """A way to compute a step."""

    precision: str
    compile: str
    threads: int

    def __str__(self) -> str:
        compiled = ", compiled" if self.compile == "on" else ""
        return f"{self.precision}{compiled}, {self.threads} thread{'s' * (self.threads > 1)}"


def choose(
    task: Task,
    params: Params,
    data: Any,
    device: torch.device,
    runs: Path,
    say: Callable[[str], None],
    trials: float = 1.0,
    earlier: Mapping[str, Any] | None = None,
    length: float = 0.0,
    search: Mapping[str, Any] | None = None,
) -> tuple[Params, dict[str, Any]]:
    """The parameters with every `auto` of the computation settled, and the facts for the record.

    `trials` is how many such trials a worker will train, or `length` for how many seconds;
    `earlier` are the facts of a trial that goes on: it keeps its choice. `search` is the choice of
    a trial's search, which measured alone on the machine: the trial takes it, compiled where
    networks of its shape are, and measures nothing. Sets the number of threads. Tasks without
    ComputeParams stay as they are. UserError where `--compile on` cannot be done here.
    """
    if not isinstance(params, ComputeParams):
        return params, {}
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((runs / "compiled").absolute()))
    require_compiler(params)
    if earlier and earlier.keys() >= set(Way._fields):
        way, facts = Way(**{k: earlier[k] for k in Way._fields}), dict(earlier)
    else:
        probe = _Probe(task, params, data, device, runs, say, length)
        way = probe.adopt(search) if search else probe.choose(trials)
        facts = {**way._asdict(), **probe.facts()}
    if device.type == "cpu":
        torch.set_num_threads(min(way.threads, thread_limit(params)))
    return params.model_copy(update={"precision": way.precision, "compile": way.compile}), facts


class _Probe:
    """Times steps of a task's model, each way once for a machine and a shape of the networks."""

    def __init__(
        self,
        task: Task,
        params: ComputeParams,
        data: Any,
        device: torch.device,
        runs: Path,
        say: Callable[[str], None],
        length: float,
    ) -> None:
        self.length = length
        self.task, self.params, self.data, self.device, self.say = task, params, data, device, say
        self.limit = thread_limit(params)
        about = {
            "task": task.name,
            "machine": _processor() if device.type == "cpu" else hardware(device),
            "torch": torch.__version__,
            "threads": self.limit,
            # a number that may be any is a weight or a rate: only whether it is 0 matters
            "params": {
                k: v > 0 if isinstance(v, float) else v
                for k, v in params.model_dump(mode="json").items()
                if k not in UNTIMED
            },
        }
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        self.file = runs / "compute" / f"{key}.json"
        self.known: dict[str, Any] = read_json(self.file) or {"about": about, "seconds": {}}

    def choose(self, trials: float) -> Way:
        """The way to compute a worker's `trials` trials."""
        way = self._rule()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.file.with_suffix(".lock")):
            self.known = read_json(self.file) or self.known
            short = self._length(self.seconds(way), trials) < SHORT
            if short and len(self.known["seconds"]) == 1:
                return way
            way = self._eager(way)
            if self.params.compile == "auto":
                way = self._compiled(way, trials)
        if len(self.known["seconds"]) > 1:
            self.say(f"step: {way} ({self._speed()})")
        return way

    def adopt(self, search: Mapping[str, Any]) -> Way:
        """The way that a search has chosen, as far as it suits networks of this shape."""
        way = Way(**{k: search[k] for k in Way._fields})
        known = str(way) in self.known["seconds"] or self.params.compile == "on"
        return way if known or way.compile == "off" else way._replace(compile="off")

    def _rule(self) -> Way:
        """What is taken without measuring: the parameters, with bf16 where the hardware has it."""
        precision = self.params.precision
        if precision == "auto":
            precision = "bf16" if fast_bf16(self.device) else "fp32"
        return Way(precision, "on" if self.params.compile == "on" else "off", self.limit)

    def _eager(self, way: Way) -> Way:
        """The fastest precision, and one thread where more gain nothing."""
        if self.params.precision == "auto" and way.precision == "bf16":
            plain = way._replace(precision="fp32")
            if self.seconds(plain) < CLEARLY * self.seconds(way):
                way = plain
        if self.device.type == "cpu" and not self.params.threads and self.limit > 1:
            one = way._replace(threads=1)
            if self.seconds(way) > CLEARLY * self.seconds(one):
                way = one
        return way

    def _compiled(self, way: Way, trials: float) -> Way:
        compiled = way._replace(compile="on")
        eager = self.seconds(way)
        length = self._length(eager, trials)
        if str(compiled) not in self.known["seconds"]:
            if "failed" in self.known or length * SAVED < COLD:
                return way
            self.say("step: compiling the networks, once for this machine and shape")
            started = time.monotonic()
            try:
                self.seconds(compiled)
            except Exception as error:  # there may be no compiler, or one that fails
                self.known["failed"] = str(error).strip().split("\n")[0]
                self._keep()
                self.say(f"step: cannot be compiled here ({self.known['failed']})")
                return way
            self.known["compilation"] = time.monotonic() - started
            self._keep()
        saved = length * (1 - self.seconds(compiled) / eager)
        if saved > WARM and not self.known.get("compile"):
            self.known["compile"] = True  # also for the search's own trials, which are shorter
            self._keep()
        return compiled if self.known.get("compile") and saved > 0 else way

    def _length(self, seconds: float, trials: float) -> float:
        """The seconds of training of a worker, from those of a step where it is not known."""
        if self.length:
            return self.length
        steps = self.known.setdefault("steps", {})
        content = getattr(self.data, "fingerprint", "")
        if content not in steps:
            model = self.task.build(self.params, self.data, self.device)
            steps[content] = model.steps_per_epoch
            self._keep()
        return float(seconds * steps[content] * self.params.epochs * trials)

    def seconds(self, way: Way) -> float:
        """The time of a step, measured now unless it is known."""
        if str(way) not in self.known["seconds"]:
            self.known["seconds"][str(way)] = self._time(way)
            self._keep()
        return float(self.known["seconds"][str(way)])

    def _time(self, way: Way) -> float:
        """The fastest of a few steps, after those that compile, autotune and capture."""
        values = {**dict(self.params), "precision": way.precision, "compile": way.compile}
        params = validate_params(type(self.params), values)
        threads, cuda = torch.get_num_threads(), self.device.type == "cuda"
        torch.set_num_threads(way.threads)
        try:
            model = self.task.build(params, self.data, self.device)
            batch = next(iter(model.batches()))
            times = list[float]()
            for warm in range(5 if cuda else 1, -3, -1):
                started = time.perf_counter()
                model.step(batch)
                if cuda:
                    torch.cuda.synchronize()
                if warm <= 0:
                    times.append(time.perf_counter() - started)
                if sum(times) > 1.0:
                    break
        finally:
            torch.set_num_threads(threads)
        if cuda:
            self.known["memory"] = torch.cuda.max_memory_reserved(self.device)
        return min(times)

    def _keep(self) -> None:
        write_json(self.file, self.known)

    def _speed(self) -> str:
        return "; ".join(f"{way}: {1e3 * s:.3g} ms" for way, s in self.known["seconds"].items())

    def facts(self) -> dict[str, Any]:
        """What was measured, for the record."""
        return {k: self.known[k] for k in ("seconds", "compilation", "memory") if self.known.get(k)}


def _processor() -> str:
    """The processor's name, where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def require_compiler(params: ComputeParams) -> None:
    """UserError for `--compile on` where PyTorch finds no compiler for its code."""
    if params.compile != "on" or torch.cuda.is_available():
        return
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:
        raise UserError(
            f"--compile on: PyTorch finds no C++ compiler ({error}); install one, or --compile off"
        ) from None
