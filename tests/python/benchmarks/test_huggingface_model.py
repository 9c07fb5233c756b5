"""The converted model is the same network: its logits are this package's, and generate() finds what policy hf finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nmt_trt
from benchmarks.models import write_ending_model
from nmt_trt.demo import demo_directory
from nmt_trt.errors import UnsupportedModelError
from nmt_trt.model_directory import read_config, read_tokenizer_files, read_weights, write_model_directory
from nmt_trt.text.pipeline import TextPipeline
from random_models import random_sources

torch.set_num_threads(1)  # two threads wait for each other longer than these models take
SENTENCES = Path(__file__).resolve().parents[3] / "benchmarks" / "sentences.en.txt"


def padded(rows: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids [B,S] padded with 0, and lengths [B]."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row).long() for row in rows], batch_first=True)
    return ids, torch.tensor([row.size for row in rows])


def assert_same_logits(directory: Path, sources: list[np.ndarray], targets: list[np.ndarray]) -> None:
    """The logits of all targets' positions, but for PAD's, within 1e-4 of those of this package's torch modules."""
    from huggingface_model import huggingface_model
    from torch_decoder import transformer

    config, weights = read_config(directory), read_weights(directory)
    (ids, lengths), (target_ids, target_lengths) = padded(sources), padded(targets)
    oracle = transformer(config, weights)
    with torch.inference_mode():
        memory = oracle.encode(ids, lengths)
        expected = oracle.project(oracle.decode_states(target_ids, memory, lengths))
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        model = huggingface_model(config, weights)
        found = model(input_ids=ids, attention_mask=mask, decoder_input_ids=target_ids).logits
    real = torch.arange(target_ids.shape[1]) < target_lengths[:, None]
    words = torch.arange(config.decoder.vocab_size) != config.special_tokens.pad
    assert (found - expected)[real][:, words].abs().max() < 1e-4


@pytest.mark.parametrize("seed", range(12))
def test_same_logits(tmp_path: Path, seed: int) -> None:
    config = write_ending_model(tmp_path / "model", seed, of_nemo=False, causal_encoder=False)
    sources = random_sources(config, count=5, longest=12, seed=seed)
    draw = np.random.default_rng(seed)
    targets = [draw.integers(1, config.decoder.vocab_size, length).astype(np.int32) for length in (3, 9, 1, 7, 5)]
    assert_same_logits(tmp_path / "model", sources, targets)


@pytest.mark.parametrize("seed", [2, 6, 16, 18, 19, 24])  # their sentences end at different lengths
@pytest.mark.parametrize("beam_size", [1, 4])
def test_generate_finds_what_policy_hf_finds(tmp_path: Path, seed: int, beam_size: int) -> None:
    from huggingface_model import NEVER, HuggingFaceTranslator

    config = write_ending_model(tmp_path / "any", seed, of_nemo=False, causal_encoder=False)
    weights = read_weights(tmp_path / "any")
    weights["output.bias"][config.special_tokens.pad] = NEVER  # policy hf would generate PAD
    write_model_directory(tmp_path / "model", config, weights, {})
    sources = random_sources(config, count=8, longest=10, seed=seed)
    search: dict[str, Any] = {"beam_size": beam_size, "length_penalty": 0.6, "max_length": 20}
    model = nmt_trt.load(tmp_path / "model", backend="onnxruntime", threads=1)
    expected = model.generate(sources, policy="hf", max_length_delta=-1, **search).sequences

    found = HuggingFaceTranslator(tmp_path / "model", "cpu", torch.float32).translate(sources, **search)
    assert found == [tokens.tolist() for tokens in expected]
    assert len({len(tokens) for tokens in found}) > 1, "the sentences should end at different lengths"


def test_demo_model() -> None:
    from huggingface_model import HuggingFaceTranslator

    directory = demo_directory()
    config = read_config(directory)
    pipeline = TextPipeline(config, read_tokenizer_files(directory, config))
    texts = SENTENCES.read_text(encoding="utf-8").splitlines()[:8]
    sources = [np.asarray(pipeline.encode(text), dtype=np.int32) for text in texts]
    search: dict[str, Any] = {"beam_size": 4, "length_penalty": config.generation.length_penalty}
    model = nmt_trt.load(directory, backend="onnxruntime")
    expected = model.generate(sources, policy="hf", max_length=80, max_length_delta=-1, **search).sequences
    assert_same_logits(directory, sources, expected)

    found = HuggingFaceTranslator(directory, "cpu", torch.float32).translate(sources, max_length=80, **search)
    assert found == [tokens.tolist() for tokens in expected]


def test_causal_encoder_is_refused(tmp_path: Path) -> None:
    from huggingface_model import HuggingFaceTranslator

    write_ending_model(tmp_path / "model", 0, causal_encoder=True)
    with pytest.raises(UnsupportedModelError, match="causal"):
        HuggingFaceTranslator(tmp_path / "model", "cpu", torch.float32)
