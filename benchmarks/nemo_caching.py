"""The baseline: beam search in eager PyTorch with the caching of NeMo 1.23's TransformerDecoder.

What is cached is every layer's INPUT (and the stack's output, before and after the final norm, as NeMo does). Each
step therefore projects keys and values of the whole prefix again in every layer, projects the encoder's output,
repeated for every beam, to keys and values again, and gathers all caches by the hypotheses' parents. The batch keeps
its size until every sentence is done. The mathematics is that of NeMo's modules (see
nemo/collections/nlp/modules/common/
transformer/{transformer_modules,transformer_encoders,transformer_decoders,transformer_generators}.py of
https://github.com/NVIDIA/NeMo, tag v1.23.0), written anew; where NeMo's own code does needless work besides the
caching (transposing caches before and after concatenating, normalising the same tensor twice) the cheaper form is
taken.  The search differs from NeMo's in policy only: it is this package's default "gnmt" (docs/design.md), so that
outputs can be compared token by token. Shapes: B sentences, K beams, S source tokens, T target tokens so far, H
hidden, V vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.weights import output_table, token_table
from nmt_trt.options import ResolvedOptions

MASKED = -10000.0
Tensors = Mapping[str, Tensor]


class Attention(nn.Module):
    """Multi-head attention with separate query, key and value projections, as NeMo keeps them."""

    def __init__(self, stack: StackConfig, projections: Sequence[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.heads = stack.num_heads
        self.scale = float(stack.head_size) ** 0.25
        self.query, self.key, self.value, self.out = (_linear(weight, bias) for weight, bias in projections)

    def forward(self, states: Tensor, memory: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from `states` [R,Q,H] to `memory` [R,T,H] with an additive mask; returns [R,Q,H]."""
        query = self._split(self.query(states)) / self.scale
        key = self._split(self.key(memory)) / self.scale
        value = self._split(self.value(memory))
        scores = torch.matmul(query, key.transpose(-1, -2))
        if mask is not None:
            scores = scores + mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), value).transpose(1, 2)
        output: Tensor = self.out(mixed.reshape(states.shape))
        return output

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """The position-wise feed-forward network."""

    def __init__(self, stack: StackConfig, weights: Tensors, name: str) -> None:
        super().__init__()
        self.inner = _linear(weights[f"{name}.in_.weight"], weights[f"{name}.in_.bias"])
        self.out = _linear(weights[f"{name}.out.weight"], weights[f"{name}.out.bias"])
        self.activation = functional.relu if stack.activation == "relu" else functional.gelu

    def forward(self, states: Tensor) -> Tensor:
        """[R,T,H] -> [R,T,H]."""
        output: Tensor = self.out(self.activation(self.inner(states)))
        return output


class Layer(nn.Module):
    """An encoder layer, or a decoder layer when the weights have cross-attention."""

    def __init__(self, stack: StackConfig, weights: Tensors, name: str, epsilon: float) -> None:
        super().__init__()
        self.pre_norm = stack.pre_norm
        blocks = ["self_attention", "ffn"]
        self.self_attention = Attention(stack, _self_projections(weights, f"{name}.self_attention"))
        if f"{name}.cross_attention.q.weight" in weights:
            blocks.insert(1, "cross_attention")
            self.cross_attention = Attention(stack, _cross_projections(weights, f"{name}.cross_attention"))
        self.ffn = FeedForward(stack, weights, f"{name}.ffn")
        self.norms = nn.ModuleDict({block: _norm(weights, f"{name}.{block}.norm", epsilon) for block in blocks})

    def forward(
        self,
        states: Tensor,
        inputs: Tensor,
        mask: Tensor | None,
        source: Tensor | None = None,
        source_mask: Tensor | None = None,
    ) -> Tensor:
        """`states` [R,Q,H], the newest of this layer's `inputs` [R,T,H], to the layer's output [R,Q,H]."""
        queries = self._enter("self_attention", states)
        keys = queries if inputs is states else self._enter("self_attention", inputs)
        states = self._leave("self_attention", states, self.self_attention(queries, keys, mask))
        if source is not None:
            queries = self._enter("cross_attention", states)
            states = self._leave("cross_attention", states, self.cross_attention(queries, source, source_mask))
        return self._leave("ffn", states, self.ffn(self._enter("ffn", states)))

    def _enter(self, block: str, states: Tensor) -> Tensor:
        return self.norms[block](states) if self.pre_norm else states

    def _leave(self, block: str, states: Tensor, output: Tensor) -> Tensor:
        output += states
        return output if self.pre_norm else self.norms[block](output)


class Stack(nn.Module):
    """Embedding, layers and final norm of one side."""

    def __init__(self, config: TransformerConfig, weights: Tensors, side: str) -> None:
        super().__init__()
        stack: StackConfig = getattr(config, side)
        epsilon = config.norm_epsilon
        self.tokens, self.positions = (
            weights[token_table(config, side)],
            weights[f"{side}.embedding.position.weight"],
        )
        self.embedding_norm = _norm(weights, f"{side}.embedding.norm", epsilon)
        self.layers = nn.ModuleList(
            Layer(stack, weights, f"{side}.layers.{index}", epsilon) for index in range(stack.num_layers)
        )
        self.final_norm = _norm(weights, f"{side}.norm", epsilon) if stack.final_norm else None

    def embed(self, ids: Tensor, start: int = 0) -> Tensor:
        """norm(token + position) of `ids` [R,T] whose first position is `start`."""
        positions = torch.arange(start, start + ids.shape[1])
        tokens = functional.embedding(ids, self.tokens)
        states: Tensor = self.embedding_norm(tokens + functional.embedding(positions, self.positions))
        return states


class CachingTransformer(nn.Module):
    """A translation model whose decoder caches as NeMo's does."""

    def __init__(self, config: TransformerConfig, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        super().__init__()
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        self.config = config
        self.encoder = Stack(config, tensors, "encoder")
        self.decoder = Stack(config, tensors, "decoder")
        self.classifier = _linear(tensors[output_table(config)], tensors["output.bias"])
        self.requires_grad_(False).eval()

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """`ids` [B,S] and the additive padding mask [B,1,1,S] to the encoder's output [B,S,H]."""
        if self.config.causal_encoder:
            mask = mask + torch.full((ids.shape[1], ids.shape[1]), MASKED).triu(1)
        states = self.encoder.embed(ids)
        for layer in self.encoder.layers:
            states = layer(states, states, mask)
        return states if self.encoder.final_norm is None else self.encoder.final_norm(states)

    def step(
        self, tokens: Tensor, position: int, source: Tensor, mask: Tensor, caches: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """One decoder step of `tokens` [R]: log-probabilities [R,V], and the caches [R,T,H] with this step's states."""
        states = self.decoder.embed(tokens[:, None], position)
        grown: list[Tensor] = []

        def remember(states: Tensor) -> Tensor:
            grown.append(states if caches is None else torch.cat((caches[len(grown)], states), dim=1))
            return grown[-1]

        inputs = remember(states)
        for layer in self.decoder.layers:
            states = layer(states, inputs, None, source, mask)
            inputs = remember(states)
        if self.decoder.final_norm is not None:
            states = self.decoder.final_norm(states)
            remember(states)
        return torch.log_softmax(self.classifier(states[:, 0]), dim=-1), grown


@torch.inference_mode()
def beam_search(
    model: CachingTransformer, rows: Sequence[npt.NDArray[np.int32]], options: ResolvedOptions
) -> list[list[int]]:
    """The best hypothesis of each source row, without special tokens."""
    config, beam = model.config, options.beam_size
    pad, eos = config.special_tokens.pad, config.special_tokens.eos
    ids = nn.utils.rnn.pad_sequence([torch.from_numpy(row).long() for row in rows], True, config.source_tokens.pad)
    lengths = torch.tensor([row.size for row in rows])
    limits = torch.tensor([options.length_limit(row.size) for row in rows])
    mask = (torch.arange(ids.shape[1]) >= lengths[:, None]).float()[:, None, None] * MASKED
    source = model.encode(ids, mask)

    start = torch.full((len(rows),), config.special_tokens.start)
    log_probs, caches = model.step(start, 0, source, mask, None)
    log_probs[:, pad] = -torch.inf
    sums, tokens = log_probs.topk(beam)
    sequences, finished = tokens[:, :, None], tokens == eos
    lengths = (tokens != eos) + 2
    caches = [cache.repeat_interleave(beam, 0) for cache in caches]
    source, mask = source.repeat_interleave(beam, 0), mask.repeat_interleave(beam, 0)
    only_first = torch.full((beam,), -torch.inf)
    only_first[0] = 0.0

    for step in range(1, int(limits.max())):
        over = finished.all(1) | (limits <= step)
        if over.all():
            break
        frozen = (finished | over[:, None])[:, :, None]
        log_probs, caches = model.step(sequences[:, :, -1].flatten(), step, source, mask, caches)
        log_probs[:, pad] = -torch.inf
        gains, tokens = log_probs.view(len(rows), beam, -1).topk(beam)
        tokens = tokens.masked_fill(frozen, pad)
        candidate_sums = sums[:, :, None] + torch.where(frozen, only_first, gains)
        candidate_lengths = lengths[:, :, None] + ((tokens != eos) & ~frozen)
        ranks = candidate_sums / _penalty(candidate_lengths, options.length_penalty)
        chosen = ranks.flatten(1).topk(beam).indices
        parents = chosen // beam
        sums, lengths, tokens = (x.flatten(1).gather(1, chosen) for x in (candidate_sums, candidate_lengths, tokens))
        finished = finished.gather(1, parents) | (tokens == eos)
        sequences = torch.cat((sequences.gather(1, parents[:, :, None].expand_as(sequences)), tokens[:, :, None]), 2)
        caches = [_gather_parents(cache, parents) for cache in caches]

    best = (sums / _penalty(lengths, options.length_penalty)).argmax(1)
    chosen_rows = sequences[torch.arange(len(rows)), best].tolist()
    return [[token for token in row if token not in (pad, eos)] for row in chosen_rows]


def _penalty(lengths: Tensor, alpha: float) -> Tensor:
    """The length penalty of Wu et al. 2016 (arXiv:1609.08144)."""
    return ((5 + lengths) / 6) ** alpha


def _gather_parents(cache: Tensor, parents: Tensor) -> Tensor:
    """Reorder a cache [B*K,T,H] so that each hypothesis has its parent's; `parents` is [B,K]."""
    batch, beam = parents.shape
    split = cache.view(batch, beam, *cache.shape[1:])
    return split.gather(1, parents[:, :, None, None].expand_as(split)).flatten(0, 1)


def _self_projections(weights: Tensors, name: str) -> list[tuple[Tensor, Tensor]]:
    fused = zip(weights[f"{name}.qkv.weight"].chunk(3), weights[f"{name}.qkv.bias"].chunk(3), strict=True)
    return [*fused, (weights[f"{name}.out.weight"], weights[f"{name}.out.bias"])]


def _cross_projections(weights: Tensors, name: str) -> list[tuple[Tensor, Tensor]]:
    fused = zip(weights[f"{name}.kv.weight"].chunk(2), weights[f"{name}.kv.bias"].chunk(2), strict=True)
    query, out = ((weights[f"{name}.{part}.weight"], weights[f"{name}.{part}.bias"]) for part in ("q", "out"))
    return [query, *fused, out]


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _norm(weights: Tensors, name: str, epsilon: float) -> nn.LayerNorm:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    layer = nn.LayerNorm(weight.shape[0], eps=epsilon, device="meta")
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer
