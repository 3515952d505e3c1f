from __future__ import annotations

import threading
import time

import pytest

from core.data import parallel
from core.data.parallel import in_threads


def test_results_come_in_order_and_few_are_computed_ahead() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def square(n: int) -> int:
        with lock:
            begun.append(n)
        time.sleep(0.001 * (n % 3))
        return n * n

    results = in_threads(square, range(1000), "squares")
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    time.sleep(0.2)
    assert len(begun) < 100
    assert list(results) == [n * n for n in range(3, 1000)]


def test_an_error_ends_the_work() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 // n, [2, 1, 0, *range(1, 1000)], "fractions"))


def test_what_takes_long_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    list(in_threads(abs, range(50), "images: decoding"))
    assert capsys.readouterr().err == "", "nothing of what is done at once"
    monkeypatch.setattr(parallel, "QUIET", 0.0)
    monkeypatch.setattr(parallel, "PAUSE", 0.0)
    list(in_threads(abs, range(2), "images: decoding", 1998))
    said = capsys.readouterr().err.splitlines()
    assert said == ["images: decoding: 1,999 of 2,000", "images: decoding: 2,000 of 2,000"]
