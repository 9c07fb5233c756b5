"""What transformers computes with a checkpoint, and what our torch module and our graphs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.imported import ImportedModel
from nmt_trt.models.transformer import Transformer
from nmt_trt.runtime.inputs import pad_rows

TOLERANCE = 1e-4


def module(imported: ImportedModel) -> Transformer:
    model = Transformer(imported.config).eval()
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in imported.weights.items()})
    return model


def padded(reference: Any, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source ids [B,S], their lengths [B], and target ids [B,T] that begin with the start token and hold no PAD."""
    config, rng = reference.config, np.random.default_rng(seed)
    words = np.setdiff1d(np.arange(config.vocab_size), [config.pad_token_id, config.eos_token_id])
    rows = [np.append(rng.choice(words, size), config.eos_token_id) for size in rng.integers(1, 13, 4)]
    ids, lengths = pad_rows([row.astype(np.int32) for row in rows], config.pad_token_id)
    target = rng.choice(np.setdiff1d(np.arange(reference.lm_head.out_features), config.pad_token_id), (4, 7))
    target[:, 0] = config.decoder_start_token_id
    return ids, lengths, target


def expected(reference: Any, ids: np.ndarray, lengths: np.ndarray, target: np.ndarray) -> tuple[Any, Any]:
    """transformers' encoder states [B,S,H] and logits [B,T,V]."""
    mask = torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
    with torch.inference_mode():
        output = reference(
            input_ids=torch.from_numpy(ids).long(),
            attention_mask=mask.long(),
            decoder_input_ids=torch.from_numpy(target),
        )
    return output.encoder_last_hidden_state, output.logits


def assert_equals(imported: ImportedModel, reference: Any, seed: int = 0) -> None:
    """The torch module computes what transformers computes."""
    ids, lengths, target = padded(reference, seed)
    states, logits = expected(reference, ids, lengths, target)
    ours, sizes = module(imported), torch.from_numpy(lengths)
    with torch.inference_mode():
        memory = ours.encode(torch.from_numpy(ids), sizes)
        given = ours.decode(torch.from_numpy(target), memory, sizes)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(memory[row, :length], states[row, :length], atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(given, logits, atol=TOLERANCE, rtol=0)


def teacher_forced(
    directory: Path, config: TransformerConfig, ids: np.ndarray, lengths: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Logits [B,T,V] of the exported encoder and prefill, position by position."""
    encoder, prefill = (
        ort.InferenceSession(directory / f"{name}.onnx", providers=["CPUExecutionProvider"])
        for name in ("encoder", "prefill")
    )
    names = [output.name for output in encoder.get_outputs()]
    cross = dict(zip(names, encoder.run(names, {"input_ids": ids, "input_length": lengths}), strict=True))
    stack, (batch, length) = config.decoder, target.shape
    cache = {
        f"self_{part}_{layer}": np.zeros((batch, stack.num_heads, length, stack.head_size), np.float32)
        for layer in range(stack.num_layers)
        for part in "kv"
    }
    feeds = {"token": target.astype(np.int32), **cache, **cross}
    logits = [
        prefill.run(["logits"], {**feeds, "prefix_length": np.full(batch, count, np.int32)})[0]
        for count in range(1, length + 1)
    ]
    return np.stack(logits, axis=1)
