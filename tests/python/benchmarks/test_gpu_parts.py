"""The parts of the GPU benchmark: its systems find what this package finds, its rescoring and its tables are right."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nmt_trt
from benchmarks.models import write_ending_model
from nmt_trt.model_directory import read_weights, write_model_directory
from nmt_trt.options import make_options
from processes import Worker, WorkerError
from random_models import random_sources
from recording import Recorder, count_tests
from rescoring import Rescorer
from synthetic import Size, endless_weights, random_row, write_endless_model
from table import best_translations, read_results, tables
from torch_decoder import StaticSearch, load_transformer

STEPS = 24
torch.set_num_threads(1)  # two threads wait for each other longer than these models take


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("beam", [1, 4])
def test_static_search_finds_the_same_tokens(tmp_path: Path, seed: int, beam: int) -> None:
    config = write_ending_model(tmp_path / "model", seed)
    sources = random_sources(config, count=6, longest=10, seed=seed)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1)
    options = {"beam_size": beam, "max_length": STEPS, "max_length_delta": -1, "length_penalty": 0.6}
    expected = model.generate(sources, **options).sequences  # type: ignore[arg-type]

    transformer = load_transformer(tmp_path / "model", "cpu", torch.float32)
    search = StaticSearch(transformer, batch=len(sources), beam=beam, steps=STEPS, length_penalty=0.6)
    lengths = torch.tensor([row.size for row in sources])
    ids = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row).long() for row in sources], batch_first=True)
    with torch.inference_mode():
        for _ in range(2):  # a second run must not depend on what the first one left
            search.encode(ids, lengths)
            search.run()
            found = search.sequences()
            assert found == [tokens.tolist() for tokens in expected]
    assert len({len(tokens) for tokens in found}) > 1, "the sentences should end at different lengths"


def test_static_search_needs_an_even_number_of_steps(tmp_path: Path) -> None:
    write_ending_model(tmp_path / "model", 0)
    with pytest.raises(ValueError, match="even"):
        StaticSearch(
            load_transformer(tmp_path / "model", "cpu", torch.float32), batch=1, beam=2, steps=3, length_penalty=0.6
        )


@pytest.mark.parametrize("seed", range(3))
def test_nemo_has_the_same_weights(tmp_path: Path, seed: int) -> None:
    from nemo_model import NemoTranslator

    size = Size(layers=2, hidden=32, inner=48, heads=4, vocabulary=50, positions=64)
    config = write_endless_model(tmp_path / "model", size, precision="fp32", seed=seed)
    rows = random_sources(config, count=1, longest=12, seed=seed)
    options: dict[str, Any] = {"beam_size": 3, "length_penalty": 0.6, "max_length_delta": 7}
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1)
    expected = model.generate(rows, policy="nemo", **options).sequences[0].tolist()

    taken = NemoTranslator(tmp_path / "model", "cpu", torch.float32).translate(rows, **options)
    assert taken.tokens[0, 1:].tolist() == expected
    assert taken.steps == rows[0].size + 7
    assert taken.encoder > 0 and taken.generator > 0


def test_endless_models_run_to_the_limit(tmp_path: Path) -> None:
    size = Size(layers=1, hidden=32, inner=48, heads=4, vocabulary=50, positions=64)
    config = write_endless_model(tmp_path / "model", size, precision="fp16")
    weights = endless_weights(config, 0)
    assert all(np.array_equal(weights[name], array) for name, array in read_weights(tmp_path / "model").items())
    draw = np.random.default_rng(0)
    rows = [random_row(length, 50, draw) for length in (3, 9)]
    assert [row.size for row in rows] == [3, 9]
    found = nmt_trt.load(tmp_path / "model", backend="onnxruntime").generate(rows, max_length=20, max_length_delta=-1)
    assert [len(tokens) for tokens in found.sequences] == [20, 20]


@pytest.mark.parametrize("seed", range(4))
def test_rescoring_gives_the_scores_of_generate(tmp_path: Path, seed: int) -> None:
    config = write_ending_model(tmp_path / "model", seed)
    sources = random_sources(config, count=6, longest=10, seed=seed)
    options: dict[str, Any] = {"beam_size": 4, "max_length": 12}
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1)
    result = model.generate(sources, num_hypotheses=4, **options)
    rescorer = Rescorer(tmp_path / "model", make_options(**options).resolve(config))
    for row, hypotheses in zip(sources, result.hypotheses, strict=True):
        scores = [rescorer.score(row, hypothesis.tokens.tolist()) for hypothesis in hypotheses]
        assert scores == pytest.approx([hypothesis.score for hypothesis in hypotheses], abs=1e-4)
        # The best two at the end are candidates too: no margin is larger than the distance between them.
        assert 0 <= rescorer.margin(row) <= scores[0] - scores[1] + 1e-6
        best, second = (hypothesis.tokens.tolist() for hypothesis in hypotheses[:2])
        difference = rescorer.compare(row, best, second)
        assert difference.score_difference == pytest.approx(scores[0] - scores[1])
        assert difference.near_tie == (difference.margin < 1e-5)


def test_equal_words_are_a_near_tie(tmp_path: Path) -> None:
    """Two words with the same embeddings have the same scores in every sentence."""
    size = Size(layers=1, hidden=32, inner=48, heads=4, vocabulary=12, positions=64)
    config = size.config()
    weights = endless_weights(config, 3)
    table = weights["decoder.embedding.token.weight"]
    table[7] = table[8]
    weights["output.bias"][[7, 8]] = 100.0
    write_model_directory(tmp_path / "model", config, weights, {})
    row = random_row(5, 12, np.random.default_rng(0))
    options: dict[str, Any] = {"beam_size": 2, "max_length": 8}
    rescorer = Rescorer(tmp_path / "model", make_options(**options).resolve(config))
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    best = model.generate([row], **options).sequences[0].tolist()
    assert {7, 8} & set(best)
    swapped = [{7: 8, 8: 7}.get(token, token) for token in best]
    assert rescorer.compare(row, best, swapped).near_tie


class Faulty:
    """What a worker may meet."""

    def __init__(self, fails: bool) -> None:
        if fails:
            raise ValueError("cannot be made")

    def add(self, one: int, two: int) -> int:
        return one + two

    def die(self) -> None:
        os._exit(3)

    def sleep(self) -> None:
        time.sleep(60)


def test_worker_answers_and_reports_what_goes_wrong() -> None:
    with Worker(Faulty, False) as worker, Worker(Faulty, True) as unmade, Worker(Faulty, False) as slow:
        worker.wait_ready(60)
        assert worker.call("add", 1, 2, timeout=60) == 3
        with pytest.raises(WorkerError, match="TypeError"):
            worker.call("add", 1, "x", timeout=60)
        with pytest.raises(WorkerError, match="exit status 3"):
            worker.call("die", timeout=60)
        with pytest.raises(WorkerError, match="ended"):
            worker.call("add", 1, 2, timeout=60)
        with pytest.raises(WorkerError, match="cannot be made"):
            unmade.wait_ready(60)
        slow.wait_ready(60)
        with pytest.raises(WorkerError, match="took more than 0.1 s"):
            slow.call("sleep", timeout=0.1)


def test_recorder_keeps_errors_and_goes_on(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "folder" / "results.jsonl", "steps")
    with recorder.guard("something"):
        raise RuntimeError("broken")
    recorder.add("step", system="nmt_trt", batch=8, step_us=400.0, ratio=1.0)
    first, second = read_results(tmp_path / "folder" / "results.jsonl")
    assert recorder.failures == 1
    assert first["error"] == "RuntimeError: broken" and "Traceback" in first["trace"]
    assert second["step_us"] == 400.0


JUNIT = """<testsuite>
  <testcase classname="a" name="good"/>
  <testcase classname="a" name="bad"><failure message="no"/></testcase>
  <testcase classname="a" name="none"><skipped/></testcase>
  <testcase classname="b" name="ctest failed" status="fail"/>
  <testcase classname="b" name="ctest left out" status="disabled"/>
</testsuite>"""


def test_tests_are_counted(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(JUNIT)
    found = count_tests([tmp_path / "report.xml"])
    assert found == {"passed": 1, "failed": 2, "skipped": 2, "failures": ["a.bad", "b.ctest failed"]}


def line(stage: str, kind: str, **fields: Any) -> str:
    return json.dumps({"stage": stage, "kind": kind, **fields}) + "\n"


def test_table_takes_the_last_measurement(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    environment = {"gpu": None, "processor": "p", "cores": 2, "versions": {"torch": "2"}}
    stages = {"encoder": 1.0, "generator": 8.0, "total": 10.0, "sentences": 1000, "measured_sentences": 1000}
    nemo = {**stages, "generator": 100.0, "total": 105.0, "measured_sentences": 80}
    results.write_text(
        line("steps", "environment", **environment)
        + line("steps", "error", what="nemo", error="old error")
        + line("steps", "step", system="nemo", batch=8, step_us=6000, ratio=15.0)
        + line("steps", "step", system="nmt_trt", batch=8, step_us=900, ratio=1.0)
        + line("steps", "environment", **environment)
        + line("steps", "step", system="nmt_trt", batch=8, step_us=400, ratio=1.0)
        + line("steps", "error", what="ctranslate2", error="Traceback\n  here\nOSError: no library\n")
        + line("experiment", "stages", system="NeMo", precision="fp16", **nemo)
        + line("experiment", "stages", system="nmt_trt", precision="fp16", **stages)
        + line("tests", "tests", suite="C++", passed=3, failed=1, skipped=0, failures=["Kernels.Top"])
        + line("tests", "stage", status=124, seconds=480.0)
        + '{"stage": "steps", "kind": "st'
    )
    text = tables(read_results(results))
    rows = {cells[0]: cells[1:] for cells in ([*map(str.strip, row.split("  "))] for row in text.splitlines())}
    assert [cell for cell in rows["nmt_trt"] if cell] == ["400 (1.00)"]
    assert "900" not in text and "old error" not in text
    assert [cell for cell in rows["NeMo, fp16"] if cell][-2:] == ["12.50", "10.50"]
    assert "80, scaled to 1000" in text
    assert "OSError: no library" in text and "Kernels.Top" in text and "out of time" in text


def test_table_of_translations_takes_the_best_batch_of_the_last_run(tmp_path: Path) -> None:
    def translation(system: str, batch: int, seconds: float) -> str:
        fields = {"fastest": 0.5, "slowest": 9.0, "sentences_per_second": 100.0, "tokens_per_second": 2000.0}
        measured = {"system": system, "batch": batch, "seconds": seconds, "same": 0.9, "bleu": None, "ratio": None}
        return line("translate", "translation", **fields, **measured)

    results = tmp_path / "results.jsonl"
    results.write_text(
        translation("nemo", 64, 0.1)
        + line("translate", "environment", gpu=None, processor="p", cores=2, versions={})
        + translation("nemo", 32, 8.0)
        + translation("nemo", 128, 3.0)
        + translation("nmt_trt", 32, 1.0)
        + translation("nmt_trt", 64, 2.0)
        + line("translate", "latency", system="nmt_trt", source_tokens=20, calls=9, median_ms=1.5, p90_ms=2, ratio=1.0)
    )
    best = best_translations(read_results(results))
    assert [(result["system"], result["batch"]) for result in best] == [("nmt_trt", 32), ("nemo", 128)]
    rows = [row.split() for row in tables(read_results(results)).splitlines()]
    assert ["nemo", "128", "3.000", "0.500-9.000", "100", "2000", "3.00", "90.0%"] in rows
    assert ["nemo", "8.000", "-", "3.000"] in rows
    assert ["nmt_trt,", "20", "tokens", "9", "1.50", "2.00", "1.00"] in rows


def test_table_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("")
    assert tables(read_results(tmp_path / "results.jsonl")) == ""
