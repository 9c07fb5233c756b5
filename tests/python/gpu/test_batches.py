"""On the GPU too a sentence's result does not depend on its batch: near-ties apart, or to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu.conftest import Load
from gpu.gpu_models import assert_equal, bits, tokens, write_model
from random_models import PAD, random_sources


@pytest.mark.parametrize("seed", [0, 4])
def test_composition_order_padding_and_row_do_not_matter(tmp_path: Path, load: Load, seed: int) -> None:
    config = write_model(tmp_path / "model", seed)
    model = load(tmp_path / "model", batch="1:8:32")
    sources = random_sources(config, 30, 20, seed)
    options: Any = {"beam_size": 4, "num_hypotheses": 4, "max_length_delta": 10}
    alone = [model.generate([source], **options).hypotheses[0] for source in sources]
    for batch_size in (3, 8, 32):  # 32 rows are compacted while sentences finish
        order = np.random.default_rng(seed + batch_size).permutation(len(sources))
        together = model.generate([sources[i] for i in order], batch_size=batch_size, **options)
        for position, index in enumerate(order):
            assert_equal(together.hypotheses[position], alone[index])

    by_tokens = model.generate(sources, batch_size=100, batch_type="tokens", **options)
    for found, wanted in zip(by_tokens.hypotheses, alone, strict=True):
        assert_equal(found, wanted)

    padded = np.full((len(sources), 32), PAD, np.int64)
    for row, source in zip(padded, sources, strict=True):
        row[: source.size] = source
    for found, wanted in zip(model.generate(padded, **options).hypotheses, alone, strict=True):
        assert_equal(found, wanted)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_deterministic_gives_the_same_bits(tmp_path: Path, load: Load, precision: str) -> None:
    """In batches of which many sentences end early, too: without the option they would be compacted."""
    config = write_model(tmp_path / "model", 4, low_precisions=("fp16",))
    model = load(tmp_path / "model", precision=precision, batch="1:8:64")
    sources = random_sources(config, 40, 20, 4)
    options: Any = {"beam_size": 4, "num_hypotheses": 4, "deterministic": True}
    together = model.generate(sources, **options).hypotheses
    assert len({hypotheses[0].tokens.size for hypotheses in together}) > 3
    wanted = [bits(hypotheses) for hypotheses in together]
    for batch_size in (1, 5, None):
        shuffled = np.random.default_rng(batch_size).permutation(len(sources))
        found = model.generate([sources[i] for i in shuffled], batch_size=batch_size, **options)
        assert [bits(hypotheses) for hypotheses in found.hypotheses] == [wanted[i] for i in shuffled]


def test_the_same_call_gives_the_same_bits(tmp_path: Path, load: Load) -> None:
    """Whatever the host and the device were doing: when rows leave a batch is decided by its sentences alone."""
    config = write_model(tmp_path / "model", 0)
    model = load(tmp_path / "model", batch="1:8:64")
    sources = random_sources(config, 40, 20, 0)
    first, *others = (
        [bits(hypotheses) for hypotheses in model.generate(sources, num_hypotheses=4).hypotheses] for _ in range(5)
    )
    assert all(other == first for other in others)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_batches_in_flight_have_the_bits_of_one_after_the_other(tmp_path: Path, load: Load, precision: str) -> None:
    config = write_model(tmp_path / "model", 4, low_precisions=("fp16",))
    sources = random_sources(config, 120, 20, 4)
    options: Any = {"beam_size": 4, "num_hypotheses": 4, "batch_size": 16}
    one = load(tmp_path / "model", precision=precision, batch="1:8:16")
    several = load(tmp_path / "model", precision=precision, batch="1:8:16", batches_in_flight=3)
    wanted = [bits(hypotheses) for hypotheses in one.generate(sources, **options).hypotheses]
    for _ in range(3):
        assert [bits(hypotheses) for hypotheses in several.generate(sources, **options).hypotheses] == wanted
    assert several.memory["plans"] == 3 * one.memory["plans"]


def test_a_batch_larger_than_the_engines_take_is_cut(tmp_path: Path, load: Load) -> None:
    config = write_model(tmp_path / "model", 2)
    model = load(tmp_path / "model")
    sources = random_sources(config, 19, 10, 2)
    counts: list[int] = []
    found = model.generate(sources, batch_size=1000, progress=counts.append)
    assert counts == [8, 8, 3]
    assert tokens(found.hypotheses) == [model.generate([source]).sequences[0].tolist() for source in sources]
