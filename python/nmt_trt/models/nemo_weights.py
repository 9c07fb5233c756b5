"""NeMo's state dict to canonical weights: names, fused projections, checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.positions import sinusoidal_positions
from nmt_trt.models.state import Weights, float32, refuse_weights, tensor_problems
from nmt_trt.models.storage import Array
from nmt_trt.models.weights import Shapes, weight_shapes

_BLOCKS = {"encoder": ("self_attention", "ffn"), "decoder": ("self_attention", "cross_attention", "ffn")}
_SUB_LAYERS = ("first_sub_layer", "second_sub_layer", "third_sub_layer")
_ATTENTION = {
    "qkv": ("query_net", "key_net", "value_net"),
    "q": ("query_net",),
    "kv": ("key_net", "value_net"),
    "out": ("out_projection",),
}
_FFN = {"in_": ("dense_in",), "out": ("dense_out",)}
_UNUSED = frozenset(f"{side}._embedding.token_type_embedding.weight" for side in _BLOCKS)
"""NeMo adds them only to inputs with token types, which its translation models never pass."""
_FILE = "model_weights.ckpt"

OUTPUT = "log_softmax.mlp.layer0.weight"


def token_embedding(side: str) -> str:
    """The state dict's name of a side's token embedding."""
    return f"{side}._embedding.token_embedding.weight"


def has_final_norm(state: Iterable[str], side: str) -> bool:
    """Whether a side ends in a norm: its weights decide, for older versions ignored the option."""
    return f"{side}._{side}.final_layer_norm.weight" in state


def nemo_names(name: str, *, learned_positions: bool) -> tuple[str, ...]:
    """The tensors of NeMo whose rows, one after the other, are the canonical weight `name`."""
    side, *path, kind = name.split(".")
    if side == "output":
        return (f"log_softmax.mlp.layer0.{kind}",)
    match path:
        case ["embedding", "token"]:
            return (token_embedding(side),)
        case ["embedding", "position"]:
            table = "weight" if learned_positions else "pos_enc"
            return (f"{side}._embedding.position_embedding.{table}",)
        case ["embedding", "norm"]:
            return (f"{side}._embedding.layer_norm.{kind}",)
        case ["norm"]:
            return (f"{side}._{side}.final_layer_norm.{kind}",)
    _, layer, block, part = path
    number = _BLOCKS[side].index(block)
    prefix = f"{side}._{side}.layers.{layer}"
    if part == "norm":
        return (f"{prefix}.layer_norm_{number + 1}.{kind}",)
    parts = (_FFN if block == "ffn" else _ATTENTION)[part]
    return tuple(f"{prefix}.{_SUB_LAYERS[number]}.{nemo}.{kind}" for nemo in parts)


def check_state(state: Mapping[str, Array], config: TransformerConfig) -> None:
    """Refuse a state dict that is not exactly the model of `config`, or whose weights are not all finite.

    Args:
        state: the tensors of the checkpoint.
        config: the model, with neither tied nor shared tables, for NeMo saves every name of a tensor.

    Raises:
        ArchiveError: lists what is missing, unexpected, of another shape or type, or not finite.
    """
    expected = _expected(config)
    optional = {name for name in expected if name.endswith("pos_enc")}
    refuse(tensor_problems(state, expected, optional=optional, unused=_UNUSED))


def refuse(problems: list[str]) -> None:
    """Raise ArchiveError with the problems, if there are any."""
    refuse_weights(_FILE, problems)


def canonical_weights(state: Mapping[str, Array], config: TransformerConfig) -> Weights:
    """The canonical float32 weights of a state dict that check_state has passed."""
    weights: Weights = {}
    for name in weight_shapes(config):
        parts = [state[part] for part in _sources(name, config) if part in state]
        if not parts:  # the sinusoids, when not saved
            stack = config.encoder if name.startswith("encoder") else config.decoder
            weights[name] = sinusoidal_positions(stack.max_positions, stack.hidden_size)
            continue
        singles = [float32(part) for part in parts]
        weights[name] = singles[0] if len(singles) == 1 else np.concatenate(singles)
    return weights


def _sources(name: str, config: TransformerConfig) -> tuple[str, ...]:
    stack = config.encoder if name.startswith("encoder") else config.decoder
    return nemo_names(name, learned_positions=stack.learned_positions)


def _expected(config: TransformerConfig) -> Shapes:
    shapes: Shapes = {}
    for name, shape in weight_shapes(config).items():
        parts = _sources(name, config)
        shapes.update((part, (shape[0] // len(parts), *shape[1:])) for part in parts)
    return shapes
