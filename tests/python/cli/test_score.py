"""`nmt-trt score` on a tiny real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nmt_trt
from cli.conftest import Run


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "source").write_text("The harbour.\nIt rains.\n", encoding="utf-8")
    (tmp_path / "target").write_text("Der Hafen.\nEs regnet.\n", encoding="utf-8")
    return [f"--source={tmp_path / 'source'}", f"--target={tmp_path / 'target'}"]


def test_a_line_a_score(run: Run, model_dir: Path, files: list[str], tmp_path: Path) -> None:
    model = nmt_trt.load(model_dir, backend="onnxruntime")
    expected = model.score_text(["The harbour.", "It rains."], ["Der Hafen.", "Es regnet."])
    result = run("score", model_dir, *files, "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [float(line) for line in result.stdout.splitlines()] == pytest.approx([one.log_prob for one in expected])
    assert run("score", model_dir, *files, "--json", "--batch-size=1", "-o", tmp_path / "out").stdout == ""
    first, second = map(json.loads, (tmp_path / "out").read_text(encoding="utf-8").splitlines())
    assert (first["source"], first["target"]) == ("The harbour.", "Der Hafen.")
    assert first["tokens"] == expected[0].tokens.tolist()
    assert second["token_scores"] == pytest.approx(expected[1].token_scores.tolist(), abs=1e-5)
    assert second["log_prob"] == pytest.approx(expected[1].log_prob, abs=1e-5)


def test_files_must_fit(run: Run, model_dir: Path, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "target").write_text("Der Hafen.\n", encoding="utf-8")
    result = run("score", model_dir, *files)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: source and target must have the same number of lines; ")
