"""The bundled model's translations on the GPU against those on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nmt_trt
from gpu.conftest import Load
from gpu.gpu_models import assert_equal
from nmt_trt.demo import demo_archive

SENTENCES = (Path(__file__).parents[2] / "data" / "sentences.en").read_text("utf-8").splitlines()
DEFAULT_SIZES: dict[str, object] = {"batch": None, "source": None, "beam": None}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "model"
    nmt_trt.build(demo_archive(), path, precision="fp16")
    return path


@pytest.fixture(scope="module")
def wanted(directory: Path) -> list[list[tuple[str, nmt_trt.Hypothesis]]]:
    """The CPU's translations."""
    return nmt_trt.load(directory, backend="onnxruntime").translate_hypotheses(SENTENCES)[0]


def test_fp32_translates_as_the_cpu(
    directory: Path, load: Load, wanted: list[list[tuple[str, nmt_trt.Hypothesis]]]
) -> None:
    model = load(directory, **DEFAULT_SIZES)
    found, timings = model.translate_hypotheses(SENTENCES)
    for one, other in zip(found, wanted, strict=True):
        assert_equal([one[0][1]], [other[0][1]])
    assert timings.encoder > 0 and timings.generator > 0


def test_fp16_translates_nearly_as_the_cpu(
    directory: Path, load: Load, wanted: list[list[tuple[str, nmt_trt.Hypothesis]]]
) -> None:
    model = load(directory, precision="auto", **DEFAULT_SIZES)
    assert "fp16" in model.backend
    found = model.translate(SENTENCES)
    assert np.mean([one == other[0][0] for one, other in zip(found, wanted, strict=True)]) >= 0.97


def test_memory_is_told_and_warming_up_suffices(directory: Path, load: Load) -> None:
    model = load(directory, **DEFAULT_SIZES)
    model.warmup(1, 16)
    before = model.memory
    assert all(size > 0 for size in before.values())
    model.translate("Click the button to save the file.", max_length=30)
    assert model.memory == before
