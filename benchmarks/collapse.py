"""What tells a collapsed generator from a young one: spread of the outputs, and better scores.

    python -m benchmarks.collapse          writes benchmarks/collapse.md, in some minutes

Trials that are known to learn and trials that are known to collapse, scored after each epoch by
fixed L1 as in the glyph tasks. The rule ends a trial after five epochs in a row with one output for
all and no better score (core/training/history.py).
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.table import origin, save, table
from core.device import seed_everything
from core.models.collapse import spread
from core.models.losses import fixed_l1
from core.params import load_task
from core.record import EpochLine
from core.task import Score
from core.training.history import STUCK, History

SMALL = {"characters": "ascii+latin", "size": 32, "batch_size": 16}
STEEP = {"lr_g": 0.005484, "lr_d": 9.81e-5, "lambda_pixel": 9.085, "adversarial": "bce"}
STEEP |= {"batch_size": 40, "dropout": 0.0579, "d_head_start": 50, "d_steps_per_g": 2}
STEEP |= {"update_first": "discriminator", "characters": "ascii+latin+greek+cyrillic", "size": 32}
SHARED = {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif", "device": "cpu"}

TRIALS: list[tuple[str, str, int, dict[str, Any]]] = [  # label, task, epochs, parameters
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
COLUMNS = ["trial", "task", "parameters", "epochs", "least spread", "last", "alike", "stuck, most"]
COLUMNS += ["ends at", "best fixed L1", "last"]


def measure(name: str, epochs: int, values: dict[str, Any]) -> list[str]:
    """Train for all epochs, collapsed or not; the figures of one row."""
    task = load_task(name)
    params = task.params.model_validate({**SHARED, **values, "epochs": epochs, "threads": 1})
    seed_everything(params.seed)
    model = task.build(params, task.load(params), torch.device("cpu"))
    history, ratios, stuck = History(task, params), [], []
    for epoch in range(1, epochs + 1):
        for batch in model.batches():
            model.step(batch)
        outputs: Any = model.outputs()
        score = Score(float(fixed_l1(outputs.output, outputs.target).mean()))
        history.add(EpochLine(epoch, {}, score, 0, 0), outputs, model)
        ratios.append(spread(outputs.output) / spread(outputs.target))
        stuck.append(history.stuck)
    end = next((str(e) for e, n in enumerate(stuck, 1) if n >= STUCK), "-")
    alike = sum(bool(reason) for reason in history.collapse_reasons)
    figures = [f"{min(ratios):.4f}", f"{ratios[-1]:.4f}", str(alike), str(max(stuck)), end]
    scores = (history.best.score.value, history.lines[-1].score.value)
    return figures + [f"{value:.3f}" for value in scores]


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for label, name, epochs, values in TRIALS:
        parameters = ", ".join(f"{k} {v}" for k, v in values.items())
        rows.append([label, name, parameters, epochs, *measure(name, epochs, values)])
        print(*rows[-1], flush=True)
    save(__file__, f"{origin('torch')}, one thread", table(COLUMNS, rows, text=3))


if __name__ == "__main__":
    main()
