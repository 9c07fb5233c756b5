"""The plots show the results' numbers, and are drawn from the files that the benchmarks write."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

import plots
from devices import speeds_of
from floors import floor_us
from synthetic import Size

SIZE = {"layers": 2, "hidden": 32, "inner": 64, "heads": 4, "vocabulary": 60, "positions": 64}
BASE = {"batch": 8, "source": 64, "beam": 4}
Results = list[dict[str, Any]]


def environment(stage: str, **settings: Any) -> dict[str, Any]:
    gpu = {"name": "NVIDIA H200"}
    return {"stage": stage, "kind": "environment", "gpu": gpu, "processor": "p", "settings": settings}


def step(kind: str, system: str, microseconds: float, **shape: int) -> dict[str, Any]:
    repeats = [microseconds - 1, microseconds, microseconds + 2]
    times = {"step_us": microseconds, "repeats_us": repeats}
    stage = "scaling" if kind == "point" else "steps"
    return {"stage": stage, "kind": kind, "system": system, **BASE, **shape, **times}


def step_results() -> Results:
    return [
        environment("steps", size=SIZE, beam=4, source=64, steps=4),
        step("step", "nmt_trt", 999.0),
        step("step", "nemo", 800.0, batch=1),
        environment("scaling", size=SIZE, base=BASE, steps=4),
        step("point", "nmt_trt", 20.0),
        step("point", "nmt_trt", 10.0, batch=1),
        step("point", "nmt_trt", 30.0, beam=16),
        step("point", "nmt_trt", 40.0, source=512),
    ]


def translate_results() -> Results:
    fields = {"sentences": 9, "fastest": 1.0, "slowest": 9.0}
    found = [environment("translate", beam=4)]
    for system, seconds, milliseconds in (("nemo", 4.0, 50.0), ("nmt_trt", 2.0, 5.0)):
        found.append({"stage": "translate", "kind": "translation", "system": system, "batch": 8, "seconds": seconds})
        found[-1] |= fields
        found.append({"stage": "translate", "kind": "latency", "system": system, "source_tokens": 20})
        found[-1] |= {"median_ms": milliseconds, "fastest_ms": milliseconds - 1, "p90_ms": milliseconds + 1}
    return found


def profile_results() -> Results:
    found = [environment("profile")]
    found.append({"stage": "profile", "kind": "profile", "batch": 8, "gaps_us": 2.0, "kernels": 12})
    for number in range(plots.SHARES + 2):
        fields = {"batch": 8, "family": f"family {number}", "us": 10.0 - number / 2}
        found += [{"stage": "profile", "kind": "kernel", **fields}] * 2
    return found


def test_series_are_of_scaling_and_of_steps_where_it_has_none() -> None:
    by_batch = plots.step_series(step_results(), "batch")
    assert by_batch == [
        plots.Series("nmt_trt", {1: (10.0, 9.0, 12.0), 8: (20.0, 19.0, 22.0)}),
        plots.Series("nemo", {1: (800.0, 799.0, 802.0)}),
    ]
    (by_beam,), (by_source,) = (plots.step_series(step_results(), axis) for axis in ("beam", "source"))
    assert {x: middle for x, (middle, _, _) in by_beam.points.items()} == {4: 20.0, 16: 30.0}
    assert {x: middle for x, (middle, _, _) in by_source.points.items()} == {64: 20.0, 512: 40.0}


def test_floor_is_the_mean_over_the_steps() -> None:
    speeds = speeds_of("NVIDIA H200")
    assert speeds is not None
    found = plots.floor_series(step_results(), "batch", [1, 8])
    for batch, microseconds in found.items():
        each = [floor_us(Size(**SIZE), batch, 4, 64, number, **vars(speeds)) for number in range(4)]
        assert microseconds == pytest.approx(sum(each) / 4)
    assert list(found) == [1, 8]


def test_no_floor_for_an_unknown_gpu() -> None:
    results = step_results()
    for result in results:
        if result["kind"] == "environment":
            result["gpu"] = None
    assert plots.floor_series(results, "batch", [1]) == {}
    assert speeds_of("NVIDIA GeForce RTX 3060") is None


def test_shares_add_up_to_the_step() -> None:
    (shares,) = plots.kernel_shares(profile_results()).values()
    assert sum(shares.values()) == pytest.approx(1)
    total = 2 + 2 * sum(10.0 - number / 2 for number in range(plots.SHARES + 2))
    assert shares["family 0"] == pytest.approx(20 / total)
    assert shares["rest"] == pytest.approx(2 * (10.0 - plots.SHARES / 2 + 10.0 - (plots.SHARES + 1) / 2) / total)
    assert list(shares)[-2:] == ["rest", "gaps"]


def test_bars_say_how_many_times_ours_they_are() -> None:
    figure = plots.draw_translations(translate_results())
    assert figure is not None
    seconds, latency = ([text.get_text() for text in axes.texts] for axes in figure.axes)
    assert seconds == ["2.00 s", "4.00 s (2.0x)"]
    assert latency == ["50.0 ms (10.0x)", "5.0 ms"]


def test_draws_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [*step_results(), *translate_results(), *profile_results()]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, results)))
    (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, translate_results())))
    measured = {"seconds": 2.0, "fastest": 1.0, "slowest": 3.0}
    setting = {"machine": "m", "text": "t", "search": "s"}
    report = {"setting": setting, "systems": {"nmt_trt": measured, "Hugging Face": measured}}
    (tmp_path / "cpu.json").write_text(json.dumps(report))
    kinds = {"step_by_batch", "step_by_source", "step_by_beam", "translate", "kernels", "cpu"}
    for results_file, options, expected in (
        ("all.jsonl", ["--cpu", str(tmp_path / "cpu.json")], kinds),
        ("few.jsonl", [], {"translate"}),
    ):
        folder = tmp_path / results_file.removesuffix(".jsonl")
        arguments = ["plots.py", str(tmp_path / results_file), "--folder", str(folder), *options]
        monkeypatch.setattr(sys, "argv", arguments)
        plots.main()
        assert {file.stem for file in folder.glob("*.png")} == expected
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in folder.glob("*.png"))
    assert "kernels: no results" in capsys.readouterr().out
    assert mpl.get_backend().lower() == "agg"
