"""Reads the configuration of a Hugging Face Marian model, and all that is not supported in it.

Defaults are those of transformers' MarianConfig.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nmt_trt.errors import UnsupportedModelError
from nmt_trt.models.config import GenerationDefaults, SpecialTokens, StackConfig
from nmt_trt.models.huggingface_files import CONFIG_FILE, Object
from nmt_trt.models.published_search import published_search
from nmt_trt.models.sections import Findings, Section
from nmt_trt.options import MAX_LENGTH_PENALTY

_ACTIVATIONS: dict[str, Literal["relu", "gelu", "swish"]] = {
    "relu": "relu",
    "gelu": "gelu",
    "swish": "swish",
    "silu": "swish",
}
_FIXED = {
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "static_position_embeddings": True,
    "is_encoder_decoder": True,
}
"""Options that older configurations name, and the one value of each that MarianMTModel computes."""
_SPECIAL: Object = {"pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100}
_OLD_SEARCH: Object = {"forced_eos_token_id": 0}
"""What config.json says of a search where there is no generation_config.json."""


@dataclass(frozen=True)
class MarianConfig:
    """A configuration without anything unsupported in it.

    Attributes:
        share_embeddings: whether encoder and decoder have one table.
        tie_output: whether the output projection's table is the decoder's.
        source_pad, source_eos: ids of the source vocabulary, for a model without tokenizer.
        version: of transformers, which wrote it.
        notes: what a user should know.
    """

    encoder: StackConfig
    decoder: StackConfig
    special_tokens: SpecialTokens
    share_embeddings: bool
    tie_output: bool
    generation: GenerationDefaults
    version: str | None
    notes: tuple[str, ...]


def parse_marian_config(config: Object, generation: Object) -> MarianConfig:
    """Check config.json, and generation_config.json, whose values win.

    Raises:
        UnsupportedModelError: another kind of model, or options that nmt_trt does not have; lists all of them.
        ArchiveError: values that no Marian model has; lists all of them.
        pydantic.ValidationError: values that contradict each other.
    """
    kind = config.get("model_type")
    if kind != "marian":
        raise UnsupportedModelError(f"{CONFIG_FILE}: model_type is {str(kind)[:100]!r}; only 'marian' is supported")
    findings = Findings(CONFIG_FILE)
    top = Section("", config, findings)
    search = Section("", {**config, **{key: value for key, value in generation.items() if value is not None}}, findings)
    _check_fixed(top)
    shared = top.flag("share_encoder_decoder_embeddings", True)
    source_size = top.integer("vocab_size", 58101)
    target_size = top.integer("decoder_vocab_size", source_size)
    if shared and source_size != target_size:
        findings.invalid.append(
            f"decoder_vocab_size is {target_size}; expected vocab_size, {source_size}, with shared embeddings"
        )
    encoder, decoder = _stack(top, "encoder", source_size), _stack(top, "decoder", target_size)
    special = _special_tokens(search, min(source_size, target_size), target_size)
    defaults, notes = _generation(Section("", generation or {**_OLD_SEARCH, **config}, findings), target_size)
    findings.report()
    return MarianConfig(
        encoder=encoder,
        decoder=decoder,
        special_tokens=special,
        share_embeddings=shared,
        tie_output=top.flag("tie_word_embeddings", True),
        generation=defaults,
        version=top.text("transformers_version"),
        notes=notes,
    )


def _check_fixed(top: Section) -> None:
    architectures = top.values.get("architectures")
    if architectures is not None and architectures != ["MarianMTModel"]:
        top.unsupported(f"architectures is {str(architectures)[:100]}; only ['MarianMTModel'] is supported")
    for name, wanted in _FIXED.items():
        if top.flag(name, wanted) != wanted:
            top.unsupported(f"{name} is {str(not wanted).lower()}, which MarianMTModel does not compute either")
    if top.values.get("quantization_config") is not None:
        top.unsupported("quantization_config is there: its weights are quantized")


def _stack(top: Section, side: str, vocabulary: int) -> StackConfig:
    activation = top.text("activation_function") or "gelu"
    if activation not in _ACTIVATIONS and side == "encoder":
        top.unsupported(f"activation_function is {activation!r}; supported are {', '.join(_ACTIVATIONS)}")
    hidden = top.integer("d_model", 1024, high=1 << 14)
    if hidden % 2 and side == "encoder":
        top.unsupported(f"d_model is {hidden}; odd widths are not supported")
    heads = top.integer(f"{side}_attention_heads", 16, high=1 << 10)
    if hidden % heads:
        top.findings.invalid.append(f"{side}_attention_heads is {heads}, which does not divide d_model {hidden}")
        heads = 1
    return StackConfig(
        hidden_size=hidden,
        num_layers=top.integer(f"{side}_layers", 12, high=1 << 10),
        inner_size=top.integer(f"{side}_ffn_dim", 4096, high=1 << 18),
        num_heads=heads,
        vocab_size=vocabulary,
        max_positions=top.integer("max_position_embeddings", 1024, high=1 << 16),
        activation=_ACTIVATIONS.get(activation, "gelu"),
        embedding_norm=False,
        scale_embeddings=top.flag("scale_embedding", False),
    )


def _special_tokens(search: Section, common_size: int, target_size: int) -> SpecialTokens:
    values = {**_SPECIAL, **search.values}
    eos = values["eos_token_id"]
    if isinstance(eos, list):
        if len(eos) != 1:
            search.unsupported(f"eos_token_id has {len(eos)} tokens; one is supported")
        values["eos_token_id"] = eos[0] if eos else 0
    ids = Section("", values, search.findings)
    tokens = SpecialTokens(
        pad=ids.integer("pad_token_id", low=0, high=common_size - 1),
        eos=ids.integer("eos_token_id", low=0, high=common_size - 1),
        start=ids.integer("decoder_start_token_id", low=0, high=target_size - 1),
    )
    if tokens.pad == tokens.eos and not search.findings.invalid:
        search.unsupported(f"pad_token_id and eos_token_id are both {tokens.eos}")
    return tokens


def _generation(published: Section, vocabulary: int) -> tuple[GenerationDefaults, tuple[str, ...]]:
    """The search settings, and notes on those that are out of range or not kept."""
    hf, notes = published_search(published, vocabulary)
    beam_size = GenerationDefaults().beam_size if published.values.get("num_beams") is None else hf.beam_size
    penalty = hf.length_penalty
    if not 0 <= penalty <= MAX_LENGTH_PENALTY:
        notes += (f"its length_penalty {penalty:g} holds for policy hf; that of the others became 1",)
        penalty = 1.0
    return GenerationDefaults(beam_size=beam_size, length_penalty=penalty, max_length_delta=-1, hf=hf), notes
