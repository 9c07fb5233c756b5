"""Policy gnmt: what a sentence becomes depends on that sentence alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt_trt
from nmt_trt.results import Hypothesis
from random_models import PAD, random_sources, write_random_model

NEAR_TIE = 1e-5


def assert_same(found: list[Hypothesis], wanted: list[Hypothesis]) -> None:
    """Equal tokens hypothesis by hypothesis, unless their scores are a near-tie."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert abs(one.score - other.score) < NEAR_TIE * max(1.0, abs(other.score))
        if one.tokens.tolist() != other.tokens.tolist():
            twins = [h for h in wanted if h.tokens.tolist() == one.tokens.tolist()]
            assert twins and abs(twins[0].score - one.score) < NEAR_TIE


def bits(hypotheses: list[Hypothesis]) -> list[tuple[list[int], bytes, bytes]]:
    return [(h.tokens.tolist(), np.float32(h.score).tobytes(), np.float32(h.log_prob).tobytes()) for h in hypotheses]


@pytest.mark.parametrize("seed", range(12))
def test_composition_order_padding_and_row_do_not_matter(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = write_random_model(tmp_path / "model", seed)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 9, 20, seed)
    beam = int(rng.integers(1, 6))
    options: Any = {"beam_size": beam, "num_hypotheses": beam, "max_length_delta": 10}
    alone = [model.generate([source], **options).hypotheses[0] for source in sources]

    order = rng.permutation(len(sources))
    together = model.generate([sources[i] for i in order], batch_size=int(rng.integers(2, 10)), **options)
    for position, index in enumerate(order):
        assert_same(together.hypotheses[position], alone[index])

    padded = np.full((len(sources), 40), PAD, np.int64)
    for row, source in zip(padded, sources, strict=True):
        row[: source.size] = source
    for found, wanted in zip(model.generate(padded, **options).hypotheses, alone, strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("seed", range(4))
def test_deterministic_gives_the_same_bits(tmp_path: Path, seed: int) -> None:
    config = write_random_model(tmp_path / "model", seed)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 6, 20, seed)
    options: Any = {"beam_size": 4, "num_hypotheses": 4, "deterministic": True}
    alone = [bits(model.generate([source], **options).hypotheses[0]) for source in sources]
    for batch_size in (1, 4, 32):
        shuffled = np.random.default_rng(seed + batch_size).permutation(len(sources))
        found = model.generate([sources[i] for i in shuffled], batch_size=batch_size, **options)
        assert [bits(h) for h in found.hypotheses] == [alone[i] for i in shuffled]


def test_greedy_is_the_argmax_chain(tmp_path: Path) -> None:
    """beam_size=1 against greedy decoding with the torch modules."""
    import torch

    from nmt_trt.model_directory import read_weights
    from nmt_trt.models.transformer import Transformer

    config = write_random_model(tmp_path / "model", 21)
    module = Transformer(config).eval()
    module.load_state_dict({name: torch.from_numpy(array) for name, array in read_weights(tmp_path / "model").items()})
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    for source in random_sources(config, 8, 12, 4):
        found = model.generate([source], beam_size=1, max_length=12, max_length_delta=-1).sequences[0]
        ids, length = torch.from_numpy(source)[None].int(), torch.tensor([source.size])
        target = [config.special_tokens.start]
        with torch.inference_mode():
            memory = module.encode(ids, length)
            for _ in range(12):
                logits = module.decode(torch.tensor([target]), memory, length)[0, -1]
                logits[PAD] = -torch.inf
                target.append(int(logits.argmax()))
                if target[-1] == config.special_tokens.eos:
                    break
        wanted = [token for token in target[1:] if token != config.special_tokens.eos]
        assert found.tolist() == wanted
