"""What tells a collapsed generator from a young one: spread of the outputs, and better scores.

    python -m benchmarks.collapse          writes benchmarks/collapse.md, in some minutes

Trials that are known to learn and trials that are known to collapse, judged after each epoch by
fixed L1 as in the glyph tasks. The rule ends a trial after five epochs in a row with one output for
all and no better score (core/history.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from core.device import seed_everything
from core.files import write_bytes
from core.models.collapse import NEGLIGIBLE, spread
from core.models.losses import fixed_l1
from core.params import load_task
from core.record import EpochLine
from core.training.history import STUCK, History
from core.training.provenance import git_commit, provenance

SMALL = {"characters": "ascii+latin", "size": 32, "batch_size": 16}
STEEP = {"lr_g": 0.005484, "lr_d": 9.81e-5, "lambda_pixel": 9.085, "adversarial": "bce"}
STEEP |= {"batch_size": 40, "dropout": 0.0579, "d_head_start": 50, "d_steps_per_g": 2}
STEEP |= {"update_first": "discriminator", "characters": "ascii+latin+greek+cyrillic", "size": 32}

Trial = tuple[str, str, int, dict[str, Any]]
TRIALS: list[Trial] = [
    ("learns, slowly", "glyph_autoencoder", 60, {**SMALL, "width": 4}),
    ("learns", "glyph_autoencoder", 40, {**SMALL, "width": 16}),
    ("learns, dropout", "glyph_autoencoder", 40, {**SMALL, "width": 8, "batch_size": 8}),
    ("learns, fast", "glyph_autoencoder", 40, {**SMALL, "width": 8, "lr_g": 0.01}),
    ("learns", "glyph_gan", 30, {**SMALL, "width": 16}),
    ("learns, fast", "glyph_gan", 30, {**SMALL, "width": 8, "lr_g": 0.01}),
    ("learns", "glyph_pix2pix", 10, {**SMALL, "width": 4}),
    ("learns", "glyph_cyclegan", 8, {**SMALL, "width": 4}),
    ("blank page", "glyph_autoencoder", 20, {**SMALL, "width": 4, "lr_g": 0.1}),
    ("one picture", "glyph_gan", 25, {**STEEP, "width": 16}),
    ("one picture", "glyph_gan", 25, {**STEEP, "width": 16, "seed": 1}),
]


def measure(name: str, epochs: int, values: dict[str, Any]) -> list[str]:
    """Train without outcome early; the table's figures."""
    task = load_task(name)
    fonts = {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif"}
    more = {**fonts, **values, "epochs": epochs, "device": "cpu", "threads": 1}
    params = task.params.model_validate(more)
    seed_everything(params.seed)
    model = task.build(params, task.load(params), torch.device("cpu"))
    history, ratios, stuck = History(task, params), [], []
    for epoch in range(1, epochs + 1):
        for batch in model.batches():
            model.step(batch)
        outputs = model.outputs()
        assert outputs.target is not None
        value = float(fixed_l1(outputs.output, outputs.target).mean())
        history.add(EpochLine(epoch, {}, Score(value), 0, 0), outputs, model)
        ratios.append(spread(outputs.output) / spread(outputs.target))
        stuck.append(history.stuck)
    ends = next((str(e) for e, n in enumerate(stuck, 1) if n >= STUCK), "-")
    same = sum(bool(reason) for reason in history.collapse_reasons)
    figures = [f"{min(ratios):.4f}", f"{ratios[-1]:.4f}", str(same), str(max(stuck)), ends]
    return [*figures, f"{history.best.score.value:.3f}", f"{history.lines[-1].value:.3f}"]


def main() -> None:
    """Measure, print and keep the table."""
    torch.set_num_threads(1)
    facts = provenance()
    lines = [
        "# Collapse",
        "",
        f"`{facts['command']}`, {datetime.now(UTC):%Y-%m-%d}, {facts['machine']}, one thread, "
        f"torch {facts['versions']['torch']}, commit {git_commit()[:12]}.",
        "Spread is that of the outputs over that of the targets; outputs are all alike below "
        f"{NEGLIGIBLE}. Stuck are epochs in a row in which they were, without a better score; a "
        f"trial ends at {STUCK}. DejaVu Sans to Serif; fixed L1 is 1 for a blank page.",
        "",
        "| trial | task | setting | epochs | least spread | last | alike | stuck, most | ends at "
        "| best fixed L1 | last |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for label, name, epochs, values in TRIALS:
        setting = ", ".join(f"{k} {v}" for k, v in values.items())
        cells = [label, name, setting, str(epochs), *measure(name, epochs, values)]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    write_bytes(Path(__file__).with_suffix(".md"), ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
