"""`--ensemble` of every command that runs a model, on tiny real models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nmt_trt
from cli.conftest import Run
from importing.nemo_archives import write_random_nemo

TEXTS = ["The harbour.", "It rains."]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deeper model of the same vocabularies as `model_dir`."""
    path = tmp_path_factory.mktemp("other")
    nmt_trt.build(write_random_nemo(path / "deep.nemo", seed=9, decoder_layers=3).path, path / "model")
    return path / "model"


def test_translate_and_generate(run: Run, model_dir: Path, other: Path) -> None:
    model = nmt_trt.load(model_dir, ensemble=[other, other], backend="onnxruntime")
    given = ["--backend=onnxruntime", "--ensemble", other, "--ensemble", other]
    result = run("translate", model_dir, *given, stdin="\n".join(TEXTS))
    assert result.stdout.splitlines() == model.translate(TEXTS)
    answer = run("generate", model_dir, *given, "--json", "-q", stdin="[2, 7, 8, 3]")
    assert json.loads(answer.stdout)["tokens"] == model.generate([[2, 7, 8, 3]]).sequences[0].tolist()


def test_score_and_evaluate(run: Run, model_dir: Path, other: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    model = nmt_trt.load(model_dir, ensemble=[other], backend="onnxruntime")
    source, given = f"--source={tmp_path / 'text'}", ["--backend=onnxruntime", "--ensemble", other, "--quiet"]
    result = run("score", model_dir, source, f"--target={tmp_path / 'text'}", *given)
    wanted = [score.log_prob for score in model.score_text(TEXTS, TEXTS)]
    assert [float(line) for line in result.stdout.splitlines()] == pytest.approx(wanted, rel=1e-5)
    report = run("evaluate", model_dir, source, f"--reference={tmp_path / 'text'}", "--json", *given)
    assert ", 2 models (asked for)" in json.loads(report.stdout)["backend"]


def test_models_that_do_not_fit(run: Run, model_dir: Path, tmp_path: Path) -> None:
    archive = write_random_nemo(tmp_path / "other.nemo", seed=9, tokenizer="none", vocab_size=77)
    nmt_trt.build(archive.path, tmp_path / "model")
    result = run("translate", model_dir, "--ensemble", tmp_path / "model", stdin="a")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: the models of an ensemble must have the vocabularies of {model_dir}: ")
    assert "has a target vocabulary of size 77, not " in result.stderr
