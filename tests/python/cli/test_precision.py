"""`nmt-trt precision` on a tiny real model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import save_file

from cli.conftest import Run
from nmt_trt.model_directory import WEIGHTS_FILE, read_weights

TEXT = "The harbour.\n\nA boat came in.\nThe end.\n"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text").write_text(TEXT)
    return tmp_path / "text"


@pytest.fixture
def drifting(model_dir: Path, tmp_path: Path) -> Path:
    """The model with an encoder block that takes the difference of large numbers."""
    directory = tmp_path / "drifting"
    shutil.copytree(model_dir, directory)
    weights = read_weights(directory)
    weights["encoder.layers.1.ffn.in_.bias"] += 3000.0
    weights["encoder.layers.1.ffn.out.weight"] -= weights["encoder.layers.1.ffn.out.weight"].mean(1, keepdims=True)
    save_file(weights, directory / WEIGHTS_FILE)
    return directory


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_every_layer_and_a_verdict(run: Run, model_dir: Path, text: Path, precision: str) -> None:
    before = sorted(path.name for path in model_dir.iterdir())
    result = run("precision", model_dir, "--text", text, "--precision", precision)
    assert (result.exit_code, result.stderr) == (0, "")
    title, *lines = result.stdout.splitlines()
    assert title.split() == ["layer", "largest", "scale", "error"]
    assert {"encoder.layers.1.ffn.out", "decoder.layers.0.cross_attention.kv", "logits"} <= {
        line.split()[0] for line in lines if line
    }
    assert f"{precision} against fp32 on 3 sentences:" in lines
    assert lines[-1] == "layers that overflow or drift: none"
    assert sorted(path.name for path in model_dir.iterdir()) == before


def test_a_drifting_layer_is_named_and_mended(run: Run, drifting: Path, text: Path) -> None:
    found = run("precision", drifting, "--text", text)
    assert found.exit_code == 1
    (line,) = [line for line in found.stdout.splitlines() if line.startswith("encoder.layers.1.ffn.out ")]
    assert line.endswith("  drifts")
    *_, named, hint = found.stdout.splitlines()
    assert named.startswith("layers that overflow or drift: encoder.layers.1.ffn.out")
    assert hint == "to mend them: --write"

    mended = run("precision", drifting, "--text", text, "--write")
    assert mended.exit_code == 0
    assert mended.stdout.splitlines()[-3:] == [
        "float32 blocks: encoder.layers.1.ffn",
        "layers that overflow or drift: none",
        f"wrote the fp16 graphs of {drifting}",
    ]
    assert (drifting / "encoder.fp16.onnx").is_file()


def test_json_has_what_the_table_has(run: Run, drifting: Path, text: Path) -> None:
    result = run("precision", drifting, "--text", text, "--json", "--sentences", 2)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    layers = {layer.pop("name"): layer for layer in report.pop("layers")}
    assert report.pop("positions") >= 2
    assert report.pop("different_tokens") >= 0
    assert report == {
        "precision": "fp16",
        "sentences": 2,
        "threshold": 0.02,
        "float32": [],
        "mended": [],
    }
    bad = layers["encoder.layers.1.ffn.out"]
    assert bad["verdict"] == "drifts" and bad["relative_error"] > 0.02 and bad["not_finite"] == 0
    assert layers["encoder.layers.0.ffn.out"]["verdict"] == "ok"


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [("", [], 2), (TEXT, ["--precision", "fp32"], 2), (TEXT, ["--sentences", "0"], 2), (None, [], 1)],
)
def test_errors(
    run: Run, model_dir: Path, tmp_path: Path, content: str | None, arguments: list[str], code: int
) -> None:
    text = tmp_path / "text"
    if content is not None:
        text.write_text(content)
    result = run("precision", model_dir, "--text", text, *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert "error" in result.stderr.lower()
