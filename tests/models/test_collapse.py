"""What counts as collapse: constructed cases, and trainings that collapse, or do not, for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from core.data.characters import character_set
from core.data.outputs import ImagePairs
from core.models.collapse import (
    collapse_reason,
    distance_correlation,
    spread,
    unrelated,
    vanished_gradient,
)
from core.models.losses import fixed_l1
from core.params import load_task
from core.record import Record
from core.task import Objective, Outcome, OutcomeKind, Params, Score, Task
from core.training.progress import Progress
from core.training.run import run_trial
from core.training.standalone import StandaloneTrial


def noise(n: int = 40, seed: int = 0, side: int = 12) -> Tensor:
    """N different images in [-1, 1], smooth enough to be pictures of something."""
    few = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.interpolate(few, (side, side), mode="bilinear")


def constant(n: int = 40) -> Tensor:
    return noise(1, seed=9).expand(n, -1, -1, -1)


def test_one_output_for_all_is_collapse() -> None:
    for output in (constant(), torch.ones(40, 1, 12, 12), -torch.ones(40, 1, 12, 12)):
        said = "the same output for 40 different inputs"
        assert collapse_reason(ImagePairs(noise(), output)) == said
        assert collapse_reason(ImagePairs(noise(), output, noise(seed=1))) == said


def test_one_picture_with_hardly_visible_noise_is_collapse() -> None:
    faint = constant() + torch.randn(40, 1, 12, 12) * 1e-4
    assert "the same output" in collapse_reason(ImagePairs(noise(), faint))
    slight = (constant() + noise(seed=3) * 0.006).clamp(-1, 1)
    said = collapse_reason(ImagePairs(noise(), slight, noise(seed=1)))
    assert said.startswith("nearly the same output for 40 different inputs, 0.")
    assert said.endswith("% of the targets' spread")
    assert "inputs' spread" in collapse_reason(ImagePairs(noise(), slight))


def test_outputs_that_depend_on_nothing_are_collapse() -> None:
    said = collapse_reason(ImagePairs(noise(), noise(seed=5), noise(seed=1)))
    assert said == "outputs that have nothing to do with the 40 inputs"
    orders = [torch.randperm(40, generator=torch.Generator().manual_seed(i)) for i in range(20)]
    shuffled = [
        "nothing to do" in collapse_reason(ImagePairs(noise(), noise()[order])) for order in orders
    ]
    assert sum(shuffled) >= 15, "they are the inputs, but another's each"


@pytest.mark.parametrize(
    "translate",
    [
        pytest.param(lambda x: x, id="a copy"),
        pytest.param(lambda x: -x, id="a negative"),
        pytest.param(lambda x: 0.05 * x, id="a pale copy"),
        pytest.param(lambda x: constant() * 0.9 + 0.1 * x, id="a mean picture with a trace"),
        pytest.param(lambda x: x.flip(-1), id="mirrored"),
        pytest.param(lambda x: torch.where(x < 0, -1.0, 1.0), id="black and white"),
        pytest.param(lambda x: F.conv2d(x, noise(3, side=5), padding=2).tanh(), id="coloured"),
    ],
)  # fmt: skip
def test_a_bad_translation_is_no_collapse(translate: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    assert collapse_reason(ImagePairs(noise(), translate(noise()))) == ""


def test_few_inputs_suffice_to_know_identical_and_blank_outputs() -> None:
    for n in (2, 7, 8):
        said = f"the same output for {n} different inputs"
        for output in (constant(n), torch.ones(n, 1, 12, 12)):
            assert collapse_reason(ImagePairs(noise(n), output)) == said
            assert collapse_reason(ImagePairs(noise(n), output, noise(n, seed=1))) == said
    for shade in (1.0, -1.0, 0.3):
        white = torch.full((1, 3, 12, 12), shade)
        said = "a blank output for the only input"
        assert collapse_reason(ImagePairs(noise(1), white)) == said
        assert collapse_reason(ImagePairs(noise(1), white, noise(1, seed=1))) == said
    seven = torch.cat([noise(7)] * 6)
    assert "7 different inputs" in collapse_reason(ImagePairs(seven, constant(42)))


def test_blank_outputs_of_many_shades_are_collapse() -> None:
    shades = noise(40).mean((1, 2, 3), keepdim=True).expand(-1, 3, 12, 12)
    for n in (5, 40):
        said = collapse_reason(ImagePairs(noise(n), shades[:n], noise(n, seed=1)))
        assert said == f"blank outputs for {n} different inputs"
    faint = (shades + noise(40, seed=2) * 0.002).clamp(-1, 1)
    assert collapse_reason(ImagePairs(noise(), faint)) == "blank outputs for 40 different inputs"
    assert collapse_reason(ImagePairs(noise(), shades, shades)) == "", "blank ones are wanted"
    assert collapse_reason(ImagePairs(shades[:1], shades[:1])) == ""


def test_nothing_else_is_said_of_few_inputs_or_of_inputs_that_do_not_differ() -> None:
    assert collapse_reason(ImagePairs(noise(1), constant(1))) == ""
    nearly = (constant(7) + noise(7, seed=3) * 0.006).clamp(-1, 1)
    assert collapse_reason(ImagePairs(noise(7), nearly)) == ""
    assert collapse_reason(ImagePairs(constant(), constant())) == ""
    assert collapse_reason(ImagePairs(noise(), constant(), constant())) == "", (
        "one output is wanted"
    )


def test_spread_is_that_of_what_is_seen() -> None:
    assert spread(constant()) == 0
    halves = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert spread(halves) == pytest.approx(0.5)
    assert spread(halves * 5) == pytest.approx(0.5), "clamped as it is scored"


def test_distance_correlation_agrees_with_what_is_known_of_it() -> None:
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    assert distance_correlation(x, 3 * x + 7) == pytest.approx(1)
    by_chance = [
        distance_correlation(
            torch.randn(40, 30, generator=torch.Generator().manual_seed(2 * i)),
            torch.randn(40, 30, generator=torch.Generator().manual_seed(2 * i + 1)),
        )
        for i in range(40)
    ]
    assert abs(sum(by_chance) / 40) < 0.02, "unbiased"


def test_independent_images_are_called_so_nineteen_times_of_twenty() -> None:
    calls = [unrelated(noise(seed=i), noise(seed=1000 + i)) for i in range(200)]
    assert 0.88 <= sum(calls) / 200 <= 0.99


class PixelEvaluator:
    """Scores a generator's images by their pixels alone."""

    objectives = (Objective("fixed L1", "minimize", worst=100.0),)

    def prepare(self, data: Any, folder: Path, say: Callable[[str], None]) -> Mapping[str, Any]:
        return {}

    def __call__(self, outputs: ImagePairs) -> Score:
        wanted = outputs.source if outputs.target is None else outputs.target
        return Score(float(fixed_l1(outputs.output, wanted).mean()))


def run(task: Task, params: Params, folder: Path) -> tuple[Outcome, Record]:
    task = replace(task, evaluator=lambda params: PixelEvaluator())
    trial = StandaloneTrial(params, "s", folder)
    quiet = Progress(console=Console(file=StringIO()))
    return run_trial(task, trial, quiet, folder.parent), Record(folder)


def glyphs(**values: Any) -> Params:
    fonts = {"source_font": "DejaVu Sans", "target_font": "DejaVu Serif"}
    small: dict[str, Any] = {
        "characters": "ascii+latin",
        "size": 32,
        "width": 4,
        "batch_size": 16,
        **fonts,
    }
    small |= {"precision": "fp32", "device": "cpu", "threads": 1}
    return load_task("glyph_autoencoder").params(**(small | values))


def test_a_learning_rate_far_too_high_ends_in_a_blank_page_and_the_trial_with_it(
    tmp_path: Path,
) -> None:
    outcome, record = run(load_task("glyph_autoencoder"), glyphs(lr_g=0.3, epochs=40), tmp_path)
    assert outcome.kind is OutcomeKind.COLLAPSED
    said = "the same output for 75 different inputs, in epochs "
    assert outcome.reason.startswith(said)
    assert outcome.score is not None
    assert outcome.score.value == pytest.approx(1.0, abs=1e-4), "a blank page's"
    assert len(record.epochs()) < 15, "the rest of its epochs is saved"


def test_a_blank_page_ends_a_trial_of_few_inputs_as_well(tmp_path: Path) -> None:
    few = tmp_path / "few.txt"
    few.write_text("".join(character_set("ascii")[:60]), encoding="utf-8")
    params = glyphs(lr_g=0.3, epochs=60, characters=str(few))
    outcome, record = run(load_task("glyph_autoencoder"), params, tmp_path / "trial")
    assert outcome.kind is OutcomeKind.COLLAPSED
    assert outcome.reason.startswith("the same output for 3 different inputs, in epochs ")
    assert "3 validation inputs, fewer than 8" in record.trial()["notes"][-1]


def test_a_young_network_that_has_one_answer_for_all_may_go_on_learning(tmp_path: Path) -> None:
    seen: list[str] = []
    task = load_task("glyph_autoencoder")

    class Watched(PixelEvaluator):
        def __call__(self, outputs: ImagePairs) -> Score:
            seen.append(collapse_reason(outputs))
            return super().__call__(outputs)

    trial = StandaloneTrial(glyphs(epochs=10), "s", tmp_path)
    quiet = Progress(console=Console(file=StringIO()))
    watched = replace(task, evaluator=lambda params: Watched())
    outcome = run_trial(watched, trial, quiet, tmp_path.parent)
    assert all(reason.startswith("nearly the same output") for reason in seen[-6:])
    assert outcome.kind is OutcomeKind.COMPLETED


class Adversaries:
    """A generator on noise and a discriminator that easily tells its images from white ones."""

    def __init__(self, loss: Callable[[Tensor], Tensor]) -> None:
        self.G = nn.Conv2d(1, 1, 3, padding=1)
        self.D = nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 1))
        self.networks = {"G": self.G, "D": self.D}
        self.opt_g = torch.optim.Adam(self.G.parameters(), 2e-4)
        self.opt_d = torch.optim.Adam(self.D.parameters(), 0.05, (0.5, 0.9))
        self.loss = loss

    def batches(self) -> Iterator[tuple[Tensor]]:
        yield from [(noise(16, seed=i),) for i in range(40)]

    def step(self, batch: tuple[Tensor]) -> Mapping[str, Tensor]:
        real, fake = torch.ones(16, 1, 12, 12), self.G(batch[0]).tanh()
        d = F.softplus(-self.D(real)).mean() + F.softplus(self.D(fake.detach())).mean()
        self.opt_d.zero_grad()
        d.backward()
        self.opt_d.step()
        g = self.loss(self.D(fake))
        self.opt_g.zero_grad()
        g.backward()
        self.opt_g.step()
        return {"g": g.detach(), "d": d.detach()}

    def outputs(self) -> ImagePairs:
        return ImagePairs(noise(seed=99), self.translate(noise(seed=99)))

    @torch.no_grad()
    def translate(self, images: Tensor) -> Tensor:
        return self.G(images).tanh()  # type: ignore[no-any-return]

    def collapse_reason(self, outputs: ImagePairs) -> str:
        return collapse_reason(outputs)

    def state_dict(self) -> dict[str, Any]:
        return {"G": self.G.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.G.load_state_dict(state["G"])


def adversaries(loss: Callable[[Tensor], Tensor]) -> Task:
    return Task(
        "adversaries",
        "",
        Params,
        lambda p: SimpleNamespace(fingerprint="", notes=()),
        lambda p, d, device: Adversaries(loss),
        lambda p: PixelEvaluator(),
        PixelEvaluator.objectives[0],
    )


def minimax(logits: Tensor) -> Tensor:
    """E[log(1 - D(G(z)))], Goodfellow et al. 2014: no gradient where D is sure."""
    return -F.softplus(logits).mean()


def non_saturating(logits: Tensor) -> Tensor:
    """-E[log D(G(z))], from the same paper, which keeps one."""
    return F.softplus(-logits).mean()


def test_a_discriminator_that_has_won_leaves_the_generator_no_gradient(tmp_path: Path) -> None:
    params = Params(epochs=60, device="cpu", threads=1)
    outcome, record = run(adversaries(minimax), params, tmp_path / "minimax")
    won = "no gradient reaches the generator: the discriminator has won, in epochs "
    assert outcome.kind is OutcomeKind.COLLAPSED
    assert outcome.reason.startswith(won)
    assert 5 < len(record.epochs()) < 60
    assert record.epochs()[-1].losses["d"] < 1e-6, "it is never wrong"


def test_a_discriminator_that_is_never_wrong_has_not_won_while_the_generator_learns(
    tmp_path: Path,
) -> None:
    params = Params(epochs=12, device="cpu", threads=1)
    outcome, _ = run(adversaries(non_saturating), params, tmp_path / "non-saturating")
    assert outcome.kind is OutcomeKind.COMPLETED


def test_a_network_without_gradients_yet_is_not_starved() -> None:
    net = nn.Linear(3, 3)
    assert not vanished_gradient(net)
    for gradient, expected in ((0.0, True), (1e-10, True), (1e-6, False)):
        for p in net.parameters():
            p.grad = torch.full_like(p, gradient)
        assert vanished_gradient(net) is expected
