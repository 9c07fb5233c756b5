"""The torch modules: names and shapes of the weights, masks, and the two attention paths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nmt_trt.errors import UsageError
from nmt_trt.models.config import SourceTokens, SpecialTokens, StackConfig, TransformerConfig
from nmt_trt.models.positions import sinusoidal_positions
from nmt_trt.models.transformer import Transformer


def make(*, pre_norm: bool = False, learned: bool = False, causal: bool = False, tied: bool = True) -> Transformer:
    """Return a tiny random model in eval mode."""
    stack = StackConfig(
        hidden_size=16,
        num_layers=2,
        inner_size=24,
        num_heads=4,
        vocab_size=32,
        max_positions=12,
        learned_positions=learned,
        activation="gelu",
        pre_norm=pre_norm,
        final_norm=pre_norm,
    )
    config = TransformerConfig(
        encoder=stack,
        decoder=stack,
        special_tokens=SpecialTokens(pad=0, eos=3, start=2),
        source_tokens=SourceTokens(pad=0, bos=2, eos=3),
        causal_encoder=causal,
        shared_embeddings=tied,
        tied_output=tied,
    )
    torch.manual_seed(0)
    return Transformer(config).eval()


@pytest.mark.parametrize("tied", [True, False])
def test_state_dict_has_the_canonical_names(tied: bool) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in make(tied=tied, pre_norm=True).state_dict().items()}
    assert shapes["encoder.embedding.position.weight"] == (12, 16)
    assert shapes["encoder.layers.1.self_attention.qkv.weight"] == (48, 16)
    assert shapes["decoder.layers.0.cross_attention.kv.bias"] == (32,)
    assert shapes["decoder.layers.0.ffn.in_.weight"] == (24, 16)
    assert shapes["decoder.norm.weight"] == (16,)
    assert shapes["output.bias"] == (32,)
    assert ("decoder.embedding.token.weight" in shapes) is not tied
    assert ("output.weight" in shapes) is not tied


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_and_the_future_change_nothing(pre_norm: bool, causal: bool) -> None:
    model = make(pre_norm=pre_norm, causal=causal)
    source, target = torch.randint(4, 32, (1, 5)), torch.randint(4, 32, (1, 6))
    padded = torch.cat([source, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    with torch.no_grad():
        alone = model(source, torch.tensor([5]), target)
        torch.testing.assert_close(model(padded, torch.tensor([5]), target), alone, atol=2e-6, rtol=1e-5)
        prefix = model(source, torch.tensor([5]), target[:, :4])
    torch.testing.assert_close(prefix, alone[:, :4], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_training_path_computes_the_same(causal: bool) -> None:
    model = make(causal=causal)
    source, target = torch.randint(4, 32, (2, 7)), torch.randint(4, 32, (2, 5))
    lengths = torch.tensor([7, 7])
    with torch.no_grad():
        exact = model(source, lengths, target)
        torch.testing.assert_close(model.train()(source, lengths, target), exact, atol=2e-6, rtol=1e-5)


def test_too_many_positions_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 12 positions, got 13"):
        make(learned=True).encode(torch.ones(1, 13, dtype=torch.long), torch.tensor([13]))


def test_sinusoids() -> None:
    table = sinusoidal_positions(5, 4)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table[3], np.array([np.sin(3), np.cos(3), np.sin(0.03), np.cos(0.03)]) / 2, atol=1e-6)
    with pytest.raises(UsageError, match="even hidden size"):
        sinusoidal_positions(5, 3)
