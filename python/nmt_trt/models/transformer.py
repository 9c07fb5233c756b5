"""The Transformer of NeMo's translation models in torch: the float32 oracle of the graphs, and what the demo trains.

State-dict names are the canonical weight names of a model directory. In eval mode attention is written out in the order
of NeMo's own operations; in training mode torch's fused attention computes the same function faster.
Shapes: B sentences, S source tokens, T target tokens, H hidden, D = H / heads, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt_trt.errors import UsageError
from nmt_trt.models.config import StackConfig, TransformerConfig
from nmt_trt.models.positions import sinusoidal_positions

MASKED = -10000.0
"""Added to the attention scores of masked keys (NeMo's NEG_INF)."""


@dataclass(frozen=True)
class DropoutRates:
    """Dropout probabilities, used in training mode only."""

    embedding: float = 0.0
    attention: float = 0.0
    """On attention probabilities."""
    activation: float = 0.0
    """Inside the feed-forward block; NeMo has none there."""
    layer: float = 0.0
    """On every block's output, before the residual sum."""


@dataclass(frozen=True)
class AttentionMask:
    """Which keys a query sees: `keys` bool [B,1,1,keys], True for real tokens, None for all; causal: only the past."""

    keys: Tensor | None = None
    causal: bool = False

    def additive(self, queries: Tensor) -> Tensor | None:
        """Return the mask to add to the scores, shaped [B or 1, 1, queries or 1, keys], or None."""
        visible = self.keys
        if self.causal:
            size = queries.shape[-2]
            past = torch.ones(size, size, dtype=torch.bool, device=queries.device).tril()
            visible = past[None, None] if visible is None else visible & past
        if visible is None:
            return None
        return (~visible).to(queries.dtype) * MASKED


class PositionTable(nn.Module):
    """A fixed table of positions, kept in the state dict as `weight` [positions, H]."""

    weight: Tensor

    def __init__(self, positions: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(sinusoidal_positions(positions, hidden)))


class Embedding(nn.Module):
    """norm(scale * token + position), norm and scale where the model has them.

    The token table may belong to the other side.
    """

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float, own_tokens: bool) -> None:
        super().__init__()
        if own_tokens:
            self.token = nn.Embedding(stack.vocab_size, stack.hidden_size)
        make = nn.Embedding if stack.learned_positions else PositionTable
        self.position = make(stack.max_positions, stack.hidden_size)
        if stack.embedding_norm:
            self.norm = nn.LayerNorm(stack.hidden_size, eps=epsilon)
        self.has_norm = stack.embedding_norm
        self.scale = stack.hidden_size**0.5 if stack.scale_embeddings else 1.0
        self.dropout = dropout.embedding

    def forward(self, ids: Tensor, table: Tensor) -> Tensor:
        """Embed `ids` [B,T] with token table [V,H] into [B,T,H]."""
        length, limit = ids.shape[1], self.position.weight.shape[0]
        if length > limit:
            raise UsageError(f"expected at most {limit} positions, got {length} tokens")
        states = functional.embedding(ids, table) * self.scale + self.position.weight[:length]
        if self.has_norm:
            states = self.norm(states)
        return functional.dropout(states, self.dropout, self.training)


class Block(nn.Module):
    """A residual block: norm(x + f(x)), or x + f(norm(x)) when pre-norm."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(stack.hidden_size, eps=epsilon)
        self.pre_norm = stack.pre_norm
        self.rates = dropout

    def enter(self, states: Tensor) -> Tensor:
        """What f sees of the block's input [B,T,H]."""
        return self.norm(states) if self.pre_norm else states

    def leave(self, states: Tensor, output: Tensor) -> Tensor:
        """Join f's output with the block's input, both [B,T,H]."""
        joined = states + functional.dropout(output, self.rates.layer, self.training)
        return joined if self.pre_norm else self.norm(joined)


class Attention(Block):
    """What self-attention and cross-attention share."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__(stack, dropout, epsilon)
        self.heads = stack.num_heads
        self.out = nn.Linear(stack.hidden_size, stack.hidden_size)

    def split(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split [B,T,parts*H] into `parts` tensors [B,heads,T,D]."""
        batch, length, width = projected.shape
        shape = (batch, length, parts, self.heads, width // (parts * self.heads))
        return projected.view(shape).permute(2, 0, 3, 1, 4).unbind(0)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: AttentionMask) -> Tensor:
        """Attend from query [B,heads,T,D] to key and value [B,heads,S,D]; returns the projection [B,T,H]."""
        context = self._fused(query, key, value, mask) if self.training else exact_attention(query, key, value, mask)
        batch, heads, length, size = context.shape
        merged: Tensor = self.out(context.transpose(1, 2).reshape(batch, length, heads * size))
        return merged

    def _fused(self, query: Tensor, key: Tensor, value: Tensor, mask: AttentionMask) -> Tensor:
        # Padding is on the right: a real query of a causal block never sees a padded key, so no key mask is needed.
        keys = None if mask.causal else mask.keys
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=keys, dropout_p=self.rates.attention, is_causal=mask.causal
        )


def exact_attention(query: Tensor, key: Tensor, value: Tensor, mask: AttentionMask) -> Tensor:
    """Scaled dot-product attention as NeMo computes it; arguments and result [B,heads,T,D].

    Query and key are each divided by D^(1/4), which makes 1/sqrt(D) on their product.
    """
    scale = query.shape[-1] ** 0.25
    scores = torch.matmul(query / scale, (key / scale).transpose(-1, -2))
    additive = mask.additive(query)
    if additive is not None:
        scores = scores + additive
    return torch.matmul(torch.softmax(scores, dim=-1), value)


class SelfAttention(Attention):
    """Attention of a sequence to itself."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__(stack, dropout, epsilon)
        self.qkv = nn.Linear(stack.hidden_size, 3 * stack.hidden_size)

    def forward(self, states: Tensor, mask: AttentionMask) -> Tensor:
        """Map [B,T,H] to [B,T,H]."""
        query, key, value = self.split(self.qkv(self.enter(states)), 3)
        return self.leave(states, self.attend(query, key, value, mask))


class CrossAttention(Attention):
    """Attention of the target to the encoder's output."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__(stack, dropout, epsilon)
        self.q = nn.Linear(stack.hidden_size, stack.hidden_size)
        self.kv = nn.Linear(stack.hidden_size, 2 * stack.hidden_size)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return key and value [B,heads,S,D] of `memory` [B,S,H]."""
        key, value = self.split(self.kv(memory), 2)
        return key, value

    def forward(self, states: Tensor, memory: Tensor, mask: AttentionMask) -> Tensor:
        """Map [B,T,H] to [B,T,H], attending to `memory` [B,S,H]."""
        (query,) = self.split(self.q(self.enter(states)), 1)
        key, value = self.keys_values(memory)
        return self.leave(states, self.attend(query, key, value, mask))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "swish": functional.silu,
}


class FeedForward(Block):
    """The position-wise feed-forward block; gelu is the exact erf form."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__(stack, dropout, epsilon)
        self.in_ = nn.Linear(stack.hidden_size, stack.inner_size)
        self.out = nn.Linear(stack.inner_size, stack.hidden_size)
        self.activation = ACTIVATIONS[stack.activation]

    def forward(self, states: Tensor) -> Tensor:
        """Map [B,T,H] to [B,T,H]."""
        inner = self.activation(self.in_(self.enter(states)))
        inner = functional.dropout(inner, self.rates.activation, self.training)
        return self.leave(states, self.out(inner))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(stack, dropout, epsilon)
        self.ffn = FeedForward(stack, dropout, epsilon)

    def forward(self, states: Tensor, mask: AttentionMask) -> Tensor:
        """Map [B,S,H] to [B,S,H]."""
        output: Tensor = self.ffn(self.self_attention(states, mask))
        return output


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, then feed-forward."""

    def __init__(self, stack: StackConfig, dropout: DropoutRates, epsilon: float) -> None:
        super().__init__()
        self.self_attention = SelfAttention(stack, dropout, epsilon)
        self.cross_attention = CrossAttention(stack, dropout, epsilon)
        self.ffn = FeedForward(stack, dropout, epsilon)

    def forward(self, states: Tensor, mask: AttentionMask, memory: Tensor, memory_mask: AttentionMask) -> Tensor:
        """Map [B,T,H] to [B,T,H]; `memory` is [B,S,H]."""
        states = self.self_attention(states, mask)
        output: Tensor = self.ffn(self.cross_attention(states, memory, memory_mask))
        return output


class Stack(nn.Module):
    """One side of the model: embedding, layers and the optional final norm."""

    def __init__(
        self,
        stack: StackConfig,
        dropout: DropoutRates,
        epsilon: float,
        layer: type[EncoderLayer | DecoderLayer],
        own_tokens: bool,
    ) -> None:
        super().__init__()
        self.embedding = Embedding(stack, dropout, epsilon, own_tokens)
        self.layers = nn.ModuleList([layer(stack, dropout, epsilon) for _ in range(stack.num_layers)])
        if stack.final_norm:
            self.norm = nn.LayerNorm(stack.hidden_size, eps=epsilon)
        self.final_norm = stack.final_norm

    def finish(self, states: Tensor) -> Tensor:
        """Apply the final norm, if there is one, to [B,T,H]."""
        return self.norm(states) if self.final_norm else states


class Output(nn.Module):
    """The projection to the vocabulary; its weight may be the decoder's token table."""

    def __init__(self, stack: StackConfig, own_weight: bool) -> None:
        super().__init__()
        if own_weight:
            self.weight = nn.Parameter(torch.empty(stack.vocab_size, stack.hidden_size))
        self.bias = nn.Parameter(torch.zeros(stack.vocab_size))


class Transformer(nn.Module):
    """A whole encoder-decoder model. Ids are integer tensors, right-padded; lengths count real tokens, [B]."""

    def __init__(self, config: TransformerConfig, dropout: DropoutRates | None = None) -> None:
        super().__init__()
        rates, epsilon = dropout or DropoutRates(), config.norm_epsilon
        self.config = config
        self.encoder = Stack(config.encoder, rates, epsilon, EncoderLayer, own_tokens=True)
        self.decoder = Stack(config.decoder, rates, epsilon, DecoderLayer, own_tokens=not config.shared_embeddings)
        self.output = Output(config.decoder, own_weight=not config.tied_output)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as NeMo does: Xavier-uniform projections, token and position tables normal with 1/sqrt(H)."""
        deviation = self.config.decoder.hidden_size**-0.5
        for module in self.modules():
            if isinstance(module, nn.Linear):
                hidden = module.in_features
                fused = module.out_features // hidden if module.out_features in (2 * hidden, 3 * hidden) else 1
                for part in module.weight.data.chunk(fused):
                    nn.init.xavier_uniform_(part)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=deviation)
        if not self.config.tied_output:
            nn.init.xavier_uniform_(self.output.weight)

    @property
    def target_table(self) -> Tensor:
        """The decoder's token table [V,H]."""
        side = self.encoder if self.config.shared_embeddings else self.decoder
        table: Tensor = side.embedding.token.weight
        return table

    def encode(self, source_ids: Tensor, source_lengths: Tensor) -> Tensor:
        """Encode `source_ids` [B,S], special tokens included, to the memory [B,S,H]."""
        keys = key_mask(source_lengths, source_ids.shape[1])
        mask = AttentionMask(keys, causal=self.config.causal_encoder)
        states = self.encoder.embedding(source_ids, self.encoder.embedding.token.weight)
        for layer in self.encoder.layers:
            states = layer(states, mask)
        return self.encoder.finish(states)

    def decode_states(self, target_ids: Tensor, memory: Tensor, source_lengths: Tensor) -> Tensor:
        """Run the decoder over `target_ids` [B,T], start token first; returns [B,T,H], position t sees tokens 0..t."""
        mask, memory_mask = AttentionMask(causal=True), AttentionMask(key_mask(source_lengths, memory.shape[1]))
        states = self.decoder.embedding(target_ids, self.target_table)
        for layer in self.decoder.layers:
            states = layer(states, mask, memory, memory_mask)
        return self.decoder.finish(states)

    def project(self, states: Tensor) -> Tensor:
        """Map decoder states [...,H] to logits [...,V]."""
        weight = self.target_table if self.config.tied_output else self.output.weight
        return functional.linear(states, weight, self.output.bias)

    def decode(self, target_ids: Tensor, memory: Tensor, source_lengths: Tensor) -> Tensor:
        """Return the logits [B,T,V] of the tokens that follow each prefix of `target_ids` [B,T]."""
        return self.project(self.decode_states(target_ids, memory, source_lengths))

    def forward(self, source_ids: Tensor, source_lengths: Tensor, target_ids: Tensor) -> Tensor:
        """Encode and decode with a given target: logits [B,T,V]."""
        return self.decode(target_ids, self.encode(source_ids, source_lengths), source_lengths)

    def cross_keys_values(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every decoder layer's cross-attention key and value, [B,heads,S,D], of the memory [B,S,H]."""
        layers = [layer for layer in self.decoder.layers if isinstance(layer, DecoderLayer)]
        return [layer.cross_attention.keys_values(memory) for layer in layers]


def key_mask(lengths: Tensor, size: int) -> Tensor:
    """Return bool [B,1,1,size], True where position < length."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None])[:, None, None]
