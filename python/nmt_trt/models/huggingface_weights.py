"""The state dicts of transformers' translation models to canonical weights: names, tied tables, projections, checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nmt_trt.models.config import TransformerConfig
from nmt_trt.models.huggingface_families import Family
from nmt_trt.models.positions import fairseq_sinusoidal_positions, split_sinusoidal_positions
from nmt_trt.models.state import Weights, float32, refuse_weights, tensor_problems
from nmt_trt.models.storage import Array
from nmt_trt.models.weights import Shapes, weight_shapes

_SHARED = "model.shared.weight"
_SOURCE, _TARGET = (f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder"))
_OUTPUT = "lm_head.weight"
_BIAS = "final_logits_bias"
_POSITIONS, _COMPUTED_POSITIONS = (
    {f"model.{side}.embed_positions.{name}" for side in ("encoder", "decoder")} for name in ("weight", "weights")
)
"""Tables of positions, and what old checkpoints call those that transformers computes anew."""
_ATTENTION = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}
_PROJECTIONS = {
    "qkv": ("q_proj", "k_proj", "v_proj"),
    "q": ("q_proj",),
    "kv": ("k_proj", "v_proj"),
    "out": ("out_proj",),
}
_FFN = {"in_": "fc1", "out": "fc2", "norm": "final_layer_norm"}


def tensor_names(name: str) -> tuple[str, ...]:
    """The tensors of transformers' models whose rows, one after the other, are the canonical weight `name`."""
    side, *path, kind = name.split(".")
    match [side, *path]:
        case ["output"]:
            return (_OUTPUT if kind == "weight" else _BIAS,)
        case [_, "norm"]:
            return (f"model.{side}.layer_norm.{kind}",)
        case [_, "embedding", "norm"]:
            return (f"model.{side}.layernorm_embedding.{kind}",)
        case [_, "embedding", table]:
            return (f"model.{side}.embed_{table}s.{kind}",)
    _, layer, block, part = path
    prefix = f"model.{side}.layers.{layer}"
    if block == "ffn":
        return (f"{prefix}.{_FFN[part]}.{kind}",)
    attention = f"{prefix}.{_ATTENTION[block]}"
    if part == "norm":
        return (f"{attention}_layer_norm.{kind}",)
    return tuple(f"{attention}.{projection}.{kind}" for projection in _PROJECTIONS[part])


def completed_state(
    state: Mapping[str, Array], *, share_embeddings: bool, tie_output: bool, file: str
) -> dict[str, Array]:
    """The tensors with every table under each of its names; a checkpoint may keep a tied table under one of them.

    Raises:
        ArchiveError: tables that the configuration ties differ.
    """
    tensors = dict(state)
    group = [_SHARED, _SOURCE, _TARGET] if share_embeddings else [_TARGET]
    if tie_output:
        group.append(_OUTPUT)
    there = [name for name in group if name in tensors]
    for name in group:
        if there:
            tensors.setdefault(name, tensors[there[0]])
    if tie_output:
        refuse_weights(
            file,
            [
                f"{name} differs from {there[0]}, to which the configuration ties it"
                for name in there[1:]
                if not np.array_equal(tensors[name], tensors[there[0]])
            ],
        )
    return tensors


def huggingface_weights(
    tensors: Mapping[str, Array], config: TransformerConfig, family: Family, file: str
) -> tuple[Weights, bool, bool]:
    """The canonical float32 weights.

    Args:
        tensors: what completed_state gives.
        config: the model, with neither shared nor tied tables.
        family: what kind of model it is.
        file: what errors call the checkpoint.

    Returns:
        The weights of the model that shares and ties what is equal, whether it shares its embeddings, and whether
        its output is tied.

    Raises:
        ArchiveError: tensors that are not exactly the model's; lists them all.
    """
    optional = {_BIAS} if family.positions == "learned" else {_BIAS, *_POSITIONS}
    unused = {_SHARED, *(_COMPUTED_POSITIONS if family.positions == "fairseq" else ())}
    expected = _expected(config, family)
    refuse_weights(file, tensor_problems(tensors, expected, optional=optional, unused=unused))
    shared = bool(np.array_equal(tensors[_SOURCE], tensors[_TARGET]))
    tied = bool(np.array_equal(tensors[_OUTPUT], tensors[_TARGET]))
    final = config.model_copy(update={"shared_embeddings": shared, "tied_output": tied})
    weights = {name: _canonical(name, shape, tensors, final, family) for name, shape in weight_shapes(final).items()}
    return weights, shared, tied


def _expected(config: TransformerConfig, family: Family) -> Shapes:
    """The tensors that a checkpoint may have, by their names there."""
    expected: Shapes = {}
    for name, shape in weight_shapes(config).items():
        parts = tensor_names(name)
        for part in parts:
            expected[part] = (shape[0] // len(parts), *shape[1:])
    expected[_BIAS] = (1, *expected[_BIAS])
    for name in _POSITIONS:
        rows, width = expected[name]
        expected[name] = (rows + family.position_offset, width)
    absent = {*(() if family.output_bias else (_BIAS,)), *(_POSITIONS if family.positions == "fairseq" else ())}
    return {name: shape for name, shape in expected.items() if name not in absent}


def _canonical(
    name: str, shape: tuple[int, ...], tensors: Mapping[str, Array], config: TransformerConfig, family: Family
) -> npt.NDArray[np.float32]:
    parts = [float32(tensors[part]) for part in tensor_names(name) if part in tensors]
    is_position = name.endswith("position.weight")
    if parts:
        return np.concatenate(parts)[family.position_offset if is_position else 0 :].reshape(shape)
    if is_position and family.positions == "fairseq":
        return fairseq_sinusoidal_positions(shape[0], shape[1], config.special_tokens.pad + 1)
    if is_position:  # not saved: transformers computes them
        return split_sinusoidal_positions(*shape)
    return np.zeros(shape, np.float32)
