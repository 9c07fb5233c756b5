"""The canonical weight names of a model and their shapes."""

from __future__ import annotations

from nmt_trt.models.config import StackConfig, TransformerConfig

Shapes = dict[str, tuple[int, ...]]


def weight_shapes(config: TransformerConfig) -> Shapes:
    """Every tensor of a model by name; linear weights are [out, in]."""
    shapes = _stack_shapes("encoder", config.encoder, cross=False)
    shapes |= _stack_shapes("decoder", config.decoder, cross=True)
    if config.shared_embeddings:
        del shapes["decoder.embedding.token.weight"]
    vocabulary, hidden = config.decoder.vocab_size, config.decoder.hidden_size
    if not config.tied_output:
        shapes["output.weight"] = (vocabulary, hidden)
    shapes["output.bias"] = (vocabulary,)
    return shapes


def token_table(config: TransformerConfig, side: str) -> str:
    """The name of the token embedding that a side ("encoder" or "decoder") reads."""
    return f"{'encoder' if config.shared_embeddings else side}.embedding.token.weight"


def output_table(config: TransformerConfig) -> str:
    """The name of the output projection's weight."""
    return token_table(config, "decoder") if config.tied_output else "output.weight"


def _stack_shapes(side: str, stack: StackConfig, *, cross: bool) -> Shapes:
    hidden, inner = stack.hidden_size, stack.inner_size
    shapes: Shapes = {
        f"{side}.embedding.token.weight": (stack.vocab_size, hidden),
        f"{side}.embedding.position.weight": (stack.max_positions, hidden),
    }
    if stack.embedding_norm:
        shapes |= _norm(f"{side}.embedding.norm", hidden)
    for index in range(stack.num_layers):
        layer = f"{side}.layers.{index}"
        shapes |= _norm(f"{layer}.self_attention.norm", hidden)
        shapes |= _linear(f"{layer}.self_attention.qkv", 3 * hidden, hidden)
        shapes |= _linear(f"{layer}.self_attention.out", hidden, hidden)
        if cross:
            shapes |= _norm(f"{layer}.cross_attention.norm", hidden)
            shapes |= _linear(f"{layer}.cross_attention.q", hidden, hidden)
            shapes |= _linear(f"{layer}.cross_attention.kv", 2 * hidden, hidden)
            shapes |= _linear(f"{layer}.cross_attention.out", hidden, hidden)
        shapes |= _norm(f"{layer}.ffn.norm", hidden)
        shapes |= _linear(f"{layer}.ffn.in_", inner, hidden)
        shapes |= _linear(f"{layer}.ffn.out", hidden, inner)
    if stack.final_norm:
        shapes |= _norm(f"{side}.norm", hidden)
    return shapes


def _norm(name: str, size: int) -> Shapes:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _linear(name: str, rows: int, columns: int) -> Shapes:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
