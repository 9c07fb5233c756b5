"""The GPU benchmark's scripts, here on the CPU with models of no weight."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import exactness
import experiment
import profile_steps
import scaling
import steps
import translate
from benchmarks.models import write_ending_model
from benchmarks.results import Results, of_kind, read
from experiment_systems import Stages
from nmt_trt.demo import demo_directory
from processes import WorkerError
from recording import Recorder
from step_systems import Shape
from table import tables
from translate_systems import Job

Run = Callable[..., Results]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a script's main(*arguments) on the CPU and returns its results."""

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the workers

    def script(main: Callable[[], int], *arguments: str) -> Results:
        results = tmp_path / "results.jsonl"
        monkeypatch.setattr(sys, "argv", ["script", "--device", "cpu", "--results", str(results), *arguments])
        assert main() == 0
        return read(results)

    return script


def test_steps(run: Run) -> None:
    options = ["--tiny", "--batches", "2,1", "--runs", "1", "--repeats", "1", "--steps", "8", "--source", "6"]
    results = run(steps.main, *options)
    found = {(result["system"], result["batch"]): result for result in of_kind(results, "step")}
    systems = ("nmt_trt", "torch-eager", "nemo", "ctranslate2")
    assert found.keys() == {(system, batch) for system in systems for batch in (2, 1)}
    assert found["nmt_trt", 2]["ratio"] == 1 and found["nemo", 1]["ratio"] > 0
    assert results[0]["kind"] == "environment" and results[0]["versions"]["torch"]


class FakeWorker:
    """Takes a millisecond a step, and fails on batch 8 if it is told to."""

    def __init__(self, milliseconds: float, *, fails: bool = False) -> None:
        self._seconds, self._fails = milliseconds / 1e3, fails
        self._batch = 0

    def call(self, method: str, *arguments: Any, timeout: float) -> Any:
        if method == "prepare":
            self._batch = arguments[0].batch
            return "fake"
        if self._fails and self._batch == 8:
            raise WorkerError("measure: out of memory")
        return {"step": self._seconds}


def test_a_failing_system_does_not_stop_the_others(tmp_path: Path) -> None:
    workers: Any = {"nmt_trt": FakeWorker(0.5), "nemo": FakeWorker(6), "ctranslate2": FakeWorker(2, fails=True)}
    recorder = Recorder(tmp_path / "results.jsonl", "steps")
    race = steps.StepRace(workers, recorder, time.monotonic() + 100)
    race.run("step", Shape(8, 64, 4), 2)
    race.run("step", Shape(1, 64, 4), 2)
    results = read(tmp_path / "results.jsonl")
    fields = ("batch", "system", "step_us", "ratio")
    found = [tuple(result[field] for field in fields) for result in of_kind(results, "step")]
    assert found == [
        (8, "nmt_trt", 500, 1),
        (8, "nemo", 6000, 12),
        (1, "nmt_trt", 500, 1),
        (1, "nemo", 6000, 12),
        (1, "ctranslate2", 2000, 4),
    ]
    (error,) = of_kind(results, "error")
    assert error["what"] == "ctranslate2" and "batch 8, source 64, beam 4: measure: out of memory" in error["error"]


def test_no_batch_is_begun_after_the_deadline(tmp_path: Path) -> None:
    workers: Any = {"nmt_trt": FakeWorker(0.5)}
    steps.StepRace(workers, Recorder(tmp_path / "results.jsonl", "steps"), time.monotonic() - 1).run(
        "step", Shape(8, 64, 4), 2
    )
    (result,) = read(tmp_path / "results.jsonl")
    assert result["kind"] == "error" and "no time left" in result["error"]


def test_translate(run: Run, tmp_path: Path) -> None:
    texts = ["The window is large.", "", "The file is empty.", "Please press the key."]
    (tmp_path / "text").write_text("\n".join(texts), encoding="utf-8")
    (tmp_path / "reference").write_text("Das Fenster ist groß.\n\nDie Datei ist leer.\nX", encoding="utf-8")
    options = ["--text", str(tmp_path / "text"), "--reference", str(tmp_path / "reference")]
    results = run(translate.main, "--tiny", "--text-workers", "3", *options)
    assert results[0]["settings"]["text_workers"] == 3 and results[0]["settings"]["batches_in_flight"] == 2
    found = {(result["system"], result["batch"]): result for result in of_kind(results, "translation")}
    systems = ("nmt_trt", "nmt_trt-serial", "ctranslate2", "ctranslate2-parallel", "huggingface", "nemo")
    assert found.keys() == {(system, batch) for system in systems for batch in (4, 2)}
    for result in found.values():
        assert result["sentences"] == 3 and result["repeats"] == 2
        assert result["fastest"] <= result["seconds"] <= result["slowest"]
        ends = {
            "nmt_trt": "text_workers=3",
            "nmt_trt-serial": "text_workers=0",
            "ctranslate2-parallel": "inter_threads=2",
        }
        assert result["runs_on"].endswith(ends.get(result["system"], ""))
        assert result["same"] == 1 and result["bleu"] == found["nmt_trt", 2]["bleu"] > 10
    latencies = of_kind(results, "latency")
    assert [(result["system"], result["calls"]) for result in latencies] == [(system, 3) for system in systems]


def test_scaling(run: Run) -> None:
    results = run(scaling.main, "--tiny", "--systems", "nmt_trt,torch-eager,nemo,ctranslate2", "--repeats", "1")
    points = of_kind(results, "point")
    shapes = [(2, 8, 2), (1, 8, 2), (4, 8, 2), (2, 4, 2), (2, 16, 2), (2, 8, 1), (2, 8, 4)]
    for system in ("nmt_trt", "torch-eager", "nemo", "ctranslate2"):
        found = [point for point in points if point["system"] == system]
        assert [(point["batch"], point["source"], point["beam"]) for point in found] == shapes
        assert all(point["ratio"] > 0 for point in found)
    for point in points:
        if point["system"] == "nmt_trt":
            assert point["whole_us"] > 8 * point["step_us"] > 0
    table = tables(results)
    assert all(f"\n{axis} " in table for axis in ("batch", "source", "beam"))
    assert results[0]["settings"]["ranges"] == {"batch": "1:2:4", "source": "1:8:16", "beam": "1:2:4"}


def test_profile(run: Run) -> None:
    """Runs on the CPU, where there are no kernels to be seen."""
    results = run(profile_steps.main, "--tiny", "--runs", "1")
    found = of_kind(results, "profile")
    assert [(result["batch"], result["kernels"]) for result in found] == [(1, 0), (2, 0)]
    assert all(result["unprofiled_us"] > 0 for result in found) and not of_kind(results, "kernel")


class FakeTranslator:
    """Takes one second a run and a millisecond a sentence."""

    def __init__(self, translation: str, *, fails: bool = False) -> None:
        self._translation, self._fails = translation, fails

    def call(self, method: str, *arguments: Any, timeout: float) -> Any:
        if method == "latency":
            return [1e-3] * arguments[1]
        if method == "run" and self._fails:
            raise WorkerError("run: out of memory")
        return "fake" if method == "prepare" else (1.0, ["Ja.", self._translation])


def test_translation_stops_after_its_seconds_and_failures(tmp_path: Path) -> None:
    job = Job(demo_directory(), ["Yes.", "No."], "cpu", beam=4)
    workers: Any = {
        "nmt_trt": FakeTranslator("Nein."),
        "nemo": FakeTranslator("Na."),
        "x": FakeTranslator("", fails=True),
    }
    recorder = Recorder(tmp_path / "results.jsonl", "translate")
    race = translate.TranslationRace(workers, recorder, time.monotonic() + 100, job, None)
    race.run_latency("Yes.", 45)
    race.run(8, 5, 2.5)
    results = read(tmp_path / "results.jsonl")
    assert [result["calls"] for result in of_kind(results, "latency")] == [45, 45, 45]
    ours, nemo = of_kind(results, "translation")
    assert (ours["system"], ours["repeats"], ours["same"], ours["ratio"]) == ("nmt_trt", 3, 1, 1)
    assert (nemo["system"], nemo["sentences_per_second"], nemo["same"]) == ("nemo", 2, 0.5)
    (error,) = of_kind(results, "error")
    assert error["what"] == "x" and "batch 8: run: out of memory" in error["error"]


def test_experiment(run: Run) -> None:
    results = run(experiment.main, "--tiny", "--sentences", "9", "--batch-size", "2", "--delta", "3")
    nemo, ours = of_kind(results, "stages")
    assert (nemo["system"], ours["system"]) == ("NeMo", "nmt_trt")
    for result in (nemo, ours):
        assert result["measured_sentences"] == result["sentences"] == 9
        assert 0 < result["encoder"] < result["total"] and 0 < result["generator"] < result["total"]
    assert len(ours["runs"]) == 2


def test_experiment_scales_encoder_by_sentences_and_generator_by_steps() -> None:
    measured = Stages(encoder=1.0, generator=10.0, total=12.0, sentences=100, steps=500, tokens=4000)
    assert experiment._scaled(measured, 1000, 6000) == Stages(10.0, 120.0, 140.0, 1000, 6000, 48000)


def test_experiment_keeps_the_length_mix() -> None:
    lengths = experiment._dev_lengths()
    assert lengths.size == 2418 and (np.diff(lengths) >= 0).all()
    spread = experiment._spread(lengths, 1000)
    assert spread.size == 1000
    assert spread.mean() == pytest.approx(lengths.mean(), abs=0.1)
    rows = [np.zeros(length, dtype=np.int32) for length in (5, 9, 7)]
    assert [[row.size for row in batch] for batch in experiment._batches(rows, 2)] == [[9, 7], [5]]


def test_exactness(run: Run, tmp_path: Path) -> None:
    write_ending_model(tmp_path / "model", 1)
    results = run(exactness.main, "--model", str(tmp_path / "model"), "--sentences", "20", "--batch-size", "4")
    (precision,) = of_kind(results, "precision")
    assert precision["identical"] == precision["sentences"] == 20
    batches = of_kind(results, "batches")
    assert sorted({result["batch_size"] for result in batches}) == [5, 8, 32]
    alone = [result for result in batches if result["deterministic"]]
    assert len(alone) == 3 and all(result["score_bits_differ"] == 0 for result in alone)


def test_exactness_rescores_what_differs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ending_model(tmp_path / "model", 1)
    translate, calls = exactness.Comparison._translate, 0

    def falsified(*arguments: Any, **named: Any) -> exactness.Found:
        nonlocal calls
        found, calls = translate(*arguments, **named), calls + 1
        if calls == 3:  # after the reference and the warm-up
            found.tokens[5] = (*found.tokens[5][:-1], 7, 8)
        return found

    monkeypatch.setattr(exactness.Comparison, "_translate", falsified)
    results = run(exactness.main, "--model", str(tmp_path / "model"), "--sentences", "10", "--batch-size", "4")
    (precision,) = of_kind(results, "precision")
    assert (precision["identical"], precision["near_ties"]) == (9, 0)
    difference = of_kind(results, "difference")[0]
    assert difference["sentence"] == 5 and difference["found"][-2:] == [7, 8]
    assert difference["scores"][0] > difference["scores"][1] and not difference["near_tie"]


def test_exactness_computes_bleu(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("The window is large.\n\nThe file is empty.\n", encoding="utf-8")
    (tmp_path / "reference").write_text("Das Fenster ist groß.\n\nDie Datei ist leer.\n", encoding="utf-8")
    options = ["--text", str(tmp_path / "text"), "--reference", str(tmp_path / "reference")]
    results = run(exactness.main, *options)
    assert of_kind(results, "reference")[0]["bleu"] > 10
    assert of_kind(results, "precision")[0]["sentences"] == 2
