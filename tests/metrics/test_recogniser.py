from __future__ import annotations

from pathlib import Path

import torch

from core.data.glyphs import GlyphParams, Glyphs, load_glyphs
from core.metrics.ink import disturb, ink, read
from evaluators.glyph import GlyphEvaluator

CPU = torch.device("cpu")


def ascii_glyphs() -> tuple[Glyphs, torch.Tensor, torch.Tensor]:
    """The data set that the tests of every glyph task share, and the ink of its two fonts."""
    params = GlyphParams(source_font="DejaVu Sans", target_font="DejaVu Serif", characters="ascii",
                         size=32)  # fmt: skip
    data = load_glyphs(params)
    sans, serif = (ink(t) for t in data.tensors(range(len(data.characters)), 1))
    return data, sans, serif


def test_it_reads_both_fonts_what_it_never_saw_disturbed_so_and_not_a_blank_page(
    evaluators: Path,
) -> None:
    data, sans, serif = ascii_glyphs()
    evaluator = GlyphEvaluator("cpu")
    facts = evaluator.prepare(data, evaluators, lambda line: None)
    net, labels = evaluator.net, torch.arange(len(sans))
    assert facts["classes"] == len(sans)
    assert facts["reads_disturbed"] > 0.7
    torch.manual_seed(99)
    for font in (sans, serif):
        assert (read(net, font, CPU) == labels).float().mean() > 0.9
        moved = font.roll((1, -1), (1, 2))
        assert (read(net, moved, CPU) == labels).float().mean() > 0.8
    blank = torch.zeros_like(sans)
    assert (read(net, blank, CPU) == labels).float().mean() < 0.05
    assert (read(net, sans.flip(0), CPU) == labels).float().mean() < 0.05


def test_disturbing_changes_every_glyph_keeps_it_ink_and_follows_the_seed() -> None:
    _, sans, _ = ascii_glyphs()
    torch.manual_seed(1)
    first = disturb(sans)
    torch.manual_seed(1)
    assert torch.equal(disturb(sans), first)
    assert first.shape == sans.shape
    assert 0 <= first.min() <= first.max() <= 1
    assert ((first - sans).abs().mean((1, 2)) > 0).all()
