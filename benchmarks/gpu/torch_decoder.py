"""The strongest plain PyTorch that we can think of: a decoder step with static shapes, eager or in a CUDA graph.

Keys and values are cached, the source's once a sentence and never repeated for the beams; attention is torch's fused
scaled_dot_product_attention; projections are fused where the weights are; the search is a handful of operators without
any synchronisation. Beams are reordered by one index_select of all caches from one half of the memory into the other,
so that nothing is copied twice. The search is the package's policy "gnmt" for a fixed number of steps.

Shapes: B sentences, K beams, R = B * K, T steps, S source tokens, H hidden, h heads, D = H / h, L layers, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from nmt_trt.model_directory import read_config, read_weights
from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.transformer import MASKED, DecoderLayer, Transformer


def load_transformer(directory: Path, device: str, dtype: torch.dtype) -> Transformer:
    """The torch modules with a model directory's weights."""
    config = read_config(directory)
    return transformer(config, read_weights(directory)).to(device, dtype)


def transformer(config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> Transformer:
    """The torch modules, float32 on the CPU, in eval mode."""
    with torch.device("meta"):  # no time is spent on an initialisation that is overwritten
        empty = Transformer(config)
    empty.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, assign=True)
    return empty.requires_grad_(False).eval()


class StaticSearch:
    """The beam search of B sentences over exactly T tokens, all state in tensors that never move."""

    def __init__(self, model: Transformer, *, batch: int, beam: int, steps: int, length_penalty: float) -> None:
        """`steps` T must be even: a captured graph holds two steps, one for each half of the cache."""
        if steps % 2:
            raise ValueError(f"the number of steps must be even; given {steps}")
        self._model, self._alpha = model, length_penalty
        self._layers = [layer for layer in model.decoder.layers if isinstance(layer, DecoderLayer)]
        self._batch, self._beam, self.steps = batch, beam, steps
        stack, tokens = model.config.decoder, model.config.special_tokens
        self._eos, self._pad, self._start = tokens.eos, tokens.pad, tokens.start
        table = model.target_table
        device, dtype, rows = table.device, table.dtype, batch * beam
        self._cache = torch.zeros(
            2, 2 * stack.num_layers, rows, stack.num_heads, steps, stack.head_size, device=device, dtype=dtype
        )
        self._token = torch.zeros(batch, beam, dtype=torch.long, device=device)
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        self._slots = torch.arange(steps, device=device)
        self._first_row = (torch.arange(batch, device=device) * beam)[:, None]
        self._only_first = torch.full((beam,), -torch.inf, device=device)
        self._only_first[0] = 0.0
        self._sums = torch.zeros(batch, beam, device=device)
        self._words = torch.zeros(batch, beam, dtype=torch.long, device=device)
        self._finished = torch.zeros(batch, beam, dtype=torch.bool, device=device)
        self._tokens = torch.zeros(steps, batch, beam, dtype=torch.long, device=device)
        self._parents = torch.zeros_like(self._tokens)
        self._cross: list[tuple[Tensor, Tensor]] = []
        self._cross_mask: Tensor | None = None
        self._graph: Any = None

    def encode(self, source_ids: Tensor, source_lengths: Tensor) -> None:
        """Encode `source_ids` int64 [B,S] and keep every layer's cross-attention keys and values.

        The first call fixes S; afterwards the tensors are only overwritten.
        """
        cross = self._model.cross_keys_values(self._model.encode(source_ids, source_lengths))
        size = source_ids.shape[1]
        if not self._cross:
            self._cross = [(key.contiguous(), value.contiguous()) for key, value in cross]
            if int(source_lengths.min()) < size:
                self._cross_mask = cross[0][0].new_zeros(self._batch, 1, 1, size)
        for kept, new in zip(self._cross, cross, strict=True):
            for target, source in zip(kept, new, strict=True):
                target.copy_(source)
        if self._cross_mask is not None:
            padding = torch.arange(size, device=source_ids.device) >= source_lengths[:, None]
            self._cross_mask.copy_(padding[:, None, None] * MASKED)

    def reset(self) -> None:
        """Begin at the start token."""
        self._token.fill_(self._start)
        self._step.zero_()
        self._sums.copy_(self._only_first.expand_as(self._sums))
        self._words.fill_(2)
        self._finished.zero_()

    def run(self) -> None:
        """All T steps: replayed after `capture`, else one operator after the other. Does not synchronise."""
        self.reset()
        for _ in range(self.steps // 2):
            if self._graph is None:
                self._two_steps()
            else:
                self._graph.replay()

    def capture(self) -> None:
        """Capture two steps in a CUDA graph; `encode` must have been called."""
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(2):
                self.reset()
                self._two_steps()
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        self.reset()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._two_steps()
        self._graph = graph

    def sequences(self) -> list[list[int]]:
        """The best hypothesis of each sentence, without EOS and what follows."""
        best = (self._sums / self._penalty(self._words)).argmax(1)
        beam, found = best, []
        for step in reversed(range(self.steps)):
            found.append(self._tokens[step].gather(1, beam[:, None])[:, 0])
            beam = self._parents[step].gather(1, beam[:, None])[:, 0]
        rows = torch.stack(found[::-1], 1).tolist()
        return [[token for token in row if token not in (self._eos, self._pad)] for row in rows]

    def _two_steps(self) -> None:
        self._one_step(self._cache[0], self._cache[1])
        self._one_step(self._cache[1], self._cache[0])

    def _one_step(self, cache: Tensor, reordered: Tensor) -> None:
        parents = self._choose(self._logits(cache))
        rows = (self._first_row + parents).flatten()
        torch.index_select(cache, 1, rows, out=reordered)
        self._step += 1

    def _logits(self, cache: Tensor) -> Tensor:
        """One decoder step of the newest tokens: [B,K,V]; writes slot `step` of `cache` [2L,R,h,T,D]."""
        model = self._model
        embedding = model.decoder.embedding
        states = torch.nn.functional.embedding(self._token, model.target_table)
        states = embedding.norm(states + embedding.position.weight.index_select(0, self._step))
        mask = ((self._slots > self._step) * MASKED).to(states.dtype)
        rows = self._batch * self._beam
        for index, layer in enumerate(self._layers):
            block = layer.self_attention
            projected = block.qkv(block.enter(states)).view(rows, 3, block.heads, 1, -1)
            keys, values = cache[2 * index], cache[2 * index + 1]
            keys.index_copy_(2, self._step, projected[:, 1])
            values.index_copy_(2, self._step, projected[:, 2])
            mixed = scaled_dot_product_attention(projected[:, 0], keys, values, attn_mask=mask[None, None, None])
            states = block.leave(states, block.out(mixed.view(self._batch, self._beam, -1)))

            cross = layer.cross_attention
            query = cross.q(cross.enter(states)).view(self._batch, self._beam, cross.heads, -1).transpose(1, 2)
            keys, values = self._cross[index]
            mixed = scaled_dot_product_attention(query, keys, values, attn_mask=self._cross_mask)
            mixed = mixed.transpose(1, 2).reshape(self._batch, self._beam, -1)
            states = layer.ffn(cross.leave(states, cross.out(mixed)))
        return model.project(model.decoder.finish(states))

    def _choose(self, logits: Tensor) -> Tensor:
        """The next beam of every sentence; returns the parents [B,K]."""
        log_probs = torch.log_softmax(logits, -1, dtype=torch.float32)
        gains, tokens = log_probs.topk(self._beam)
        frozen = self._finished[:, :, None]
        gains = torch.where(frozen, self._only_first, gains)
        tokens = tokens.masked_fill(frozen, self._pad)
        sums = self._sums[:, :, None] + gains
        words = self._words[:, :, None] + ((tokens != self._eos) & ~frozen)
        chosen = (sums / self._penalty(words)).flatten(1).topk(self._beam).indices
        parents = chosen // self._beam
        self._sums.copy_(sums.flatten(1).gather(1, chosen))
        self._words.copy_(words.flatten(1).gather(1, chosen))
        self._token.copy_(tokens.flatten(1).gather(1, chosen))
        self._finished.copy_(self._finished.gather(1, parents) | (self._token == self._eos))
        self._tokens.index_copy_(0, self._step, self._token[None])
        self._parents.index_copy_(0, self._step, parents[None])
        return parents

    def _penalty(self, words: Tensor) -> Tensor:
        """The length penalty of Wu et al. 2016 (arXiv:1609.08144)."""
        return ((5 + words) / 6) ** self._alpha
