"""Networks of evaluators: trained by one loop, once for a recipe, and loaded from then on.

<folder>/<kind>-<hash of the recipe>/facts.json   what is known of the network
                                    /weights.pt   its state
<folder>/features-<hash of network and images>.pt   what a network sees of images
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from core.device import autocast, hardware
from core.files import atomic_write, read_json, write_json

Net = TypeVar("Net", bound=nn.Module)
Item = TypeVar("Item")
UNREADABLE = (OSError, RuntimeError, EOFError, TypeError, ValueError, KeyError, UnpicklingError)
PAUSE = 5.0  # seconds between two lines of progress


def load_or_train(
    folder: Path,
    kind: str,
    recipe: Mapping[str, Any],
    seed: int,
    build: Callable[[], Net],
    train: Callable[[], tuple[Net, dict[str, Any]]],
) -> tuple[Net, dict[str, Any]]:
    """The network of a recipe (JSON), frozen in eval mode, and its facts.

    `build` makes an untrained one on its device, `train` a trained one and its facts (JSON), to
    which the seconds are added. Parallel workers train it once, and a damaged file is trained anew.
    PyTorch is seeded with `seed` first, and its random state is as before afterwards.
    """
    text = json.dumps(recipe, sort_keys=True)
    home = folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"), torch.random.fork_rng():
        torch.manual_seed(seed)
        net = build()
        facts = _load(net, home)
        if not facts:
            started = time.monotonic()
            net, facts = train()
            facts = {**facts, "seconds": round(time.monotonic() - started, 1)}
            state = net.state_dict()
            atomic_write(home / "weights.pt", lambda file: torch.save(state, file))
            write_json(home / "facts.json", facts)
    return net.eval().requires_grad_(False), facts


def _load(net: nn.Module, home: Path) -> dict[str, Any]:
    """Load the weights kept in `home`; return the facts, empty where either is missing or bad."""
    device = next(net.parameters()).device
    try:
        state = torch.load(home / "weights.pt", map_location=device, weights_only=True)
        net.load_state_dict(state)
    except UNREADABLE:
        return {}
    facts = read_json(home / "facts.json")
    return facts if "seconds" in facts else {}


def kept_features(
    folder: Path, device: torch.device, sources: Iterable[Tensor], see: Callable[[], list[Tensor]]
) -> list[Tensor]:
    """What `see` makes of `sources`, all it depends on; kept for this machine, bit for bit."""
    where = [torch.__version__, platform.node(), hardware(device)]
    digest = hashlib.sha256(json.dumps(where).encode())
    for source in sources:
        digest.update(source.detach().cpu().flatten().view(torch.uint8).numpy().data)
    path = folder / f"features-{digest.hexdigest()[:16]}.pt"
    try:
        return list(torch.load(path, weights_only=True))
    except UNREADABLE:
        features = see()
        atomic_write(path, lambda file: torch.save(features, file))
        return features


def fit(
    net: nn.Module,
    batch: Callable[[], tuple[Tensor, Tensor]],
    steps: int,
    recipe: Mapping[str, Any],
    after_step: Callable[[], object] = lambda: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Train a classifier on drawn batches of N inputs and N labels by cross-entropy.

    AdamW on a one-cycle schedule, bf16 where the hardware has it.
    """
    device, lr = next(net.parameters()).device, recipe["lr"]
    decay, smoothing = recipe["weight_decay"], recipe["label_smoothing"]
    optimizer = torch.optim.AdamW(net.parameters(), lr, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    net.train()
    for _ in counted(range(steps), "evaluator: training steps", say, steps):
        inputs, labels = batch()
        with autocast(device, "auto"):
            logits = net(inputs.to(device)).float()
        loss = F.cross_entropy(logits, labels.to(device), label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        after_step()


def counted(
    items: Iterable[Item], what: str, say: Callable[[str], None], total: int = 0
) -> Iterator[Item]:
    """The items; every five seconds a line says how many are done, so that silence is no riddle."""
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said >= PAUSE:
            said = time.monotonic()
            say(f"{what}: {number / total:.0%}" if total else f"{what}: {number} done")
        yield item
