from __future__ import annotations

from pathlib import Path

from PIL import Image

from benchmarks.knobs import RECIPE, SETTINGS, SHOWN, TASK, sheet
from core.params import validate_params
from core.record import Record


def test_every_setting_can_be_trained_and_is_another() -> None:
    trained = [validate_params(TASK.params, values) for values in SETTINGS.values()]
    assert len(set(map(repr, trained))) == len(SETTINGS)
    assert next(iter(SETTINGS.values())) == RECIPE


def test_the_sheet_has_a_row_of_first_outputs_a_setting(tmp_path: Path) -> None:
    records = []
    for name, grey in (("00", 50), ("01", 200)):
        record = Record(tmp_path / name)
        record.pictures.mkdir(parents=True)
        Image.new("RGB", (64 * 20, 64), (grey, grey, grey)).save(record.pictures / "output.png")
        records.append([record])
    found = sheet(records)
    assert found.size == (64 * SHOWN, 128)
    assert found.getpixel((5, 5)) == (50, 50, 50)
    assert found.getpixel((5, 100)) == (200, 200, 200)
