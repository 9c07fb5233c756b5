"""Attention of hypotheses on the CPU: whose it is, and that nothing else changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import nmt_trt
from nmt_trt.errors import ModelDirectoryError
from nmt_trt.model_directory import ATTENTION_GRAPH, graph_file, read_weights
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.transformer import CrossAttention, Transformer, key_mask
from nmt_trt.options import Policy
from nmt_trt.results import Hypothesis
from random_models import EOS, random_sources, write_random_model

POLICIES = get_args(Policy)
TOLERANCE = 1e-5


class TorchAttention:
    """The cross-attention weights of the torch modules."""

    def __init__(self, directory: Path, config: TransformerConfig) -> None:
        self._model = Transformer(config).eval()
        self._model.load_state_dict({name: torch.from_numpy(w) for name, w in read_weights(directory).items()})
        self._start = config.special_tokens.start
        module: Any = self._model.decoder.layers[config.decoder.attention_layer]
        self._module: CrossAttention = module.cross_attention
        self._module.register_forward_hook(lambda _, given, __: setattr(self, "given", given))
        self.given: Any = None

    def __call__(self, source: NDArray[np.int32], generated: list[int]) -> NDArray[np.float32]:
        """float32 [generated, source]: what each generated token came of."""
        ids, length = torch.from_numpy(source)[None], torch.tensor([source.size])
        with torch.inference_mode():
            self._model(ids, length, torch.tensor([[self._start, *generated[:-1]]]))
            states, memory, _ = self.given
            (query,) = self._module.split(self._module.q(self._module.enter(states)), 1)
            key, _ = self._module.keys_values(memory)
            scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
            scores = scores.masked_fill(~key_mask(length, source.size), -torch.inf)
            weights: NDArray[np.float32] = torch.softmax(scores, dim=-1).mean(dim=1)[0].numpy()
        return weights


def attention_of(hypothesis: Hypothesis) -> NDArray[np.float32]:
    assert hypothesis.attention is not None
    return hypothesis.attention


@pytest.mark.parametrize("seed", range(12))
def test_is_that_of_the_torch_modules(tmp_path: Path, seed: int) -> None:
    policy = POLICIES[seed % len(POLICIES)]
    config = write_random_model(tmp_path / "model", seed)
    reference = TorchAttention(tmp_path / "model", config)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 6, 14, seed)
    sources = sources[:1] if policy == "nemo" else sources  # in a batch sentences leak
    number = 1 + seed % 5
    options: Any = {"policy": policy, "num_hypotheses": number, "max_length": 12, "attention": True}
    options |= {} if policy == "sample" else {"beam_size": number}
    options |= {} if policy == "nemo" else {"bad_words": [[config.special_tokens.pad]]}
    compared = 0
    for source, found in zip(sources, model.generate(sources, **options).hypotheses, strict=True):
        for hypothesis in found:
            attention = attention_of(hypothesis)
            assert attention.dtype == np.float32
            assert attention.shape in {(len(hypothesis.tokens) + end, source.size) for end in (0, 1)}
            ended = len(attention) - len(hypothesis.tokens)
            np.testing.assert_allclose(attention.sum(axis=1), 1, atol=1e-5)
            generated = [*hypothesis.tokens.tolist(), *[EOS] * ended]
            if not generated:
                continue
            np.testing.assert_allclose(attention, reference(source, generated), atol=TOLERANCE)
            assert hypothesis.alignment is not None and hypothesis.alignment.dtype == np.int32
            assert hypothesis.alignment.tolist() == attention[: len(hypothesis.tokens)].argmax(axis=1).tolist()
            compared += 1
    assert compared


@pytest.mark.parametrize("policy", POLICIES)
def test_changes_nothing_else(tmp_path: Path, policy: Policy) -> None:
    config = write_random_model(tmp_path / "model", 5)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 7, 14, 5)
    options: Any = {"policy": policy, "num_hypotheses": 3, "max_length": 12}
    options |= {} if policy == "sample" else {"beam_size": 3}
    plain = model.generate(sources, **options).hypotheses
    found = model.generate(sources, attention=True, **options).hypotheses
    for one, other in zip(found, plain, strict=True):
        assert [h.tokens.tolist() for h in one] == [h.tokens.tolist() for h in other]
        assert [h.score for h in one] == [h.score for h in other]
        assert all(h.attention is None and h.alignment is None for h in other)
        assert all(h.token_scores is None for h in one)


@pytest.mark.parametrize("policy", ["gnmt", "hf", "sample"])
def test_does_not_depend_on_the_batch(tmp_path: Path, policy: Policy) -> None:
    """Sentences of one batch end at different steps, so that it shrinks again and again."""
    config = write_random_model(tmp_path / "model", 2)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 9, 20, 2)
    options: Any = {"policy": policy, "max_length": 40, "attention": True, "deterministic": False}
    options |= {"num_hypotheses": 3} if policy == "sample" else {"beam_size": 3, "num_hypotheses": 3}
    together = model.generate(sources, **options).hypotheses
    lengths = {len(h.tokens) for found in together for h in found}
    assert len(lengths) > 4
    for number, (source, found) in enumerate(zip(sources, together, strict=True)):
        alone = model.generate([source], first_number=number, **options).hypotheses[0]
        for one, other in zip(found, alone, strict=True):
            assert one.tokens.tolist() == other.tokens.tolist()
            np.testing.assert_allclose(attention_of(one), attention_of(other), atol=TOLERANCE)


def test_prefixes_have_it_too(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 3)
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    reference = TorchAttention(tmp_path / "model", config)
    source = random_sources(config, 1, 9, 3)[0]
    found = model.generate([source], target_prefix=[[5, 6, 7]], attention=True, max_length=8, beam_size=2)
    hypothesis = found.hypotheses[0][0]
    rows = attention_of(hypothesis)[: len(hypothesis.tokens)]
    np.testing.assert_allclose(rows, reference(source, hypothesis.tokens.tolist()), atol=TOLERANCE)


def test_a_directory_of_before_says_what_to_do(tmp_path: Path) -> None:
    config = write_random_model(tmp_path / "model", 3)
    (tmp_path / "model" / graph_file(ATTENTION_GRAPH)).unlink()
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime")
    sources = random_sources(config, 1, 9, 3)
    model.generate(sources)
    for options in ({"attention": True}, {"coverage_penalty": 0.2}):
        with pytest.raises(ModelDirectoryError, match=r"decoder_attention.onnx is missing.*build the model directory"):
            model.generate(sources, **options)


def test_an_empty_text_has_none() -> None:
    model = nmt_trt.load(backend="onnxruntime")
    found, _ = model.translate_hypotheses(["", "Good morning."], attention=True)
    (_, nothing), (_, something) = found[0][0], found[1][0]
    assert nothing.attention is not None and nothing.attention.shape == (0, 0)
    assert nothing.alignment is not None and nothing.alignment.shape == (0,)
    assert something.alignment is not None and something.alignment.shape == something.tokens.shape
