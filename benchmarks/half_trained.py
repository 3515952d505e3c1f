"""What the painting evaluator gives the outputs of a small CycleGAN that is only half trained.

python -m benchmarks.half_trained --data DIR        a quarter of an hour on two cores

Two starts: the published one, and generators that reproduce their input, without identity loss and
with a weak cycle. Both evaluators score what they make of the validation photographs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from benchmarks.table import origin, save, table
from core.data.outputs import ImagePairs
from core.device import configure_torch
from core.metrics.exam import sit_once
from trials.cyclegan import TASK, CycleGAN, CycleGANParams

EPOCHS = (1, 2, 4, 8, 16)
SMALL = {"size": 64, "width": 16, "blocks": 1, "batch_size": 4, "epochs": max(EPOCHS)}
STARTS = {
    "published": {},
    "identity": {"lambda_cycle": 2.0, "lambda_identity": 0.0, "lr_g": 5e-4, "lr_d": 5e-4},
}


def reproduce_input(model: CycleGAN, passes: int = 3) -> None:
    """Train both generators to give back what they are given."""
    optimizer = torch.optim.Adam([*model.G.parameters(), *model.F.parameters()], 1e-3)
    for _ in range(passes):
        for batch in model.draw_batches():
            pairs = ((model.G, batch.x), (model.F, batch.y))
            loss = sum(nn.functional.l1_loss(net(images), images) for net, images in pairs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", default="sample", help="data folder (default: the embedded sample)"
    )
    arguments = parser.parse_args()
    folder, rows = Path("runs"), []
    params = CycleGANParams(data=arguments.data, **SMALL)
    device = configure_torch(params)
    data = TASK.load(params)
    evaluators = [task.evaluator(params) for task in (TASK, TASK.with_holdout_evaluator())]
    facts = [evaluator.prepare(data, folder / "evaluators", print) for evaluator in evaluators]
    exams = [sit_once(e, data, f, folder, print) for e, f in zip(evaluators, facts, strict=True)]
    rows.append(["painted with brush strokes", "", *(f"{exam['reference']:.3g}" for exam in exams)])
    for start, changes in STARTS.items():
        torch.manual_seed(0)
        model = CycleGAN(params.model_copy(update=changes), data, device)
        if start == "identity":
            reproduce_input(model)
        for epoch in range(1, max(EPOCHS) + 1):
            for batch in model.batches():
                model.step(batch)
            if epoch in EPOCHS:
                outputs: ImagePairs = model.outputs()
                scores = [f"{evaluator(outputs).value:.3g}" for evaluator in evaluators]
                rows.append([start, str(epoch), *scores])
                print(*rows[-1], flush=True)
    head = ["start", "epochs", "search evaluator", "holdout evaluator"]
    save(__file__, f"{origin('torch')}, {SMALL}", table(head, rows))


if __name__ == "__main__":
    main()
