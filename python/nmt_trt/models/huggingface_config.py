"""Reads the configuration of a Hugging Face translation model, and all that is not supported in it.

Defaults are those of transformers' configuration classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nmt_trt.errors import UnsupportedModelError
from nmt_trt.models.config import GenerationDefaults, SpecialTokens, StackConfig
from nmt_trt.models.huggingface_families import FAMILIES, Family
from nmt_trt.models.huggingface_files import CONFIG_FILE, Object
from nmt_trt.models.published_search import published_search
from nmt_trt.models.sections import Findings, Section
from nmt_trt.options import MAX_LENGTH_PENALTY
from nmt_trt.score_options import NO_TOKEN

_ACTIVATIONS: dict[str, Literal["relu", "gelu", "swish"]] = {
    "relu": "relu",
    "gelu": "gelu",
    "swish": "swish",
    "silu": "swish",
}


@dataclass(frozen=True)
class HuggingFaceConfig:
    """A configuration without anything unsupported in it.

    Attributes:
        family: the kind of model.
        share_embeddings: whether encoder and decoder have one table.
        tie_output: whether the output projection's table is the decoder's.
        tokenizer_class: transformers' name of the tokenizer, where it is said.
        version: of transformers, which wrote it.
        notes: what a user should know.
    """

    family: Family
    encoder: StackConfig
    decoder: StackConfig
    special_tokens: SpecialTokens
    share_embeddings: bool
    tie_output: bool
    generation: GenerationDefaults
    tokenizer_class: str | None
    version: str | None
    notes: tuple[str, ...]


def parse_huggingface_config(config: Object, generation: Object) -> HuggingFaceConfig:
    """Check config.json, and generation_config.json, whose values win.

    Raises:
        UnsupportedModelError: another kind of model, or options that nmt_trt does not have; lists all of them.
        ArchiveError: values that no model of its kind has; lists all of them.
        pydantic.ValidationError: values that contradict each other.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise UnsupportedModelError(
            f"{CONFIG_FILE}: model_type is {str(kind)[:100]!r}; supported are {', '.join(FAMILIES)}"
        )
    family = FAMILIES[kind]
    findings = Findings(CONFIG_FILE)
    top = Section("", config, findings)
    search = Section("", {**config, **{key: value for key, value in generation.items() if value is not None}}, findings)
    _check_fixed(top, family)
    shared, source_size, target_size = _vocabularies(top, family)
    encoder, decoder = _stack(top, family, "encoder", source_size), _stack(top, family, "decoder", target_size)
    special = _special_tokens(search, family, min(source_size, target_size), target_size)
    if family.positions == "fairseq":
        _check_counted_positions(top, family, special)
    published = Section("", generation or {**family.old_search, **config}, findings)
    defaults, notes = _generation(published, family, target_size)
    findings.report()
    return HuggingFaceConfig(
        family=family,
        encoder=encoder,
        decoder=decoder,
        special_tokens=special,
        share_embeddings=shared,
        tie_output=top.flag("tie_word_embeddings", True),
        generation=defaults,
        tokenizer_class=top.text("tokenizer_class"),
        version=top.text("transformers_version"),
        notes=notes,
    )


def _check_fixed(top: Section, family: Family) -> None:
    architectures = top.values.get("architectures")
    if architectures is not None and architectures != [family.architecture]:
        top.unsupported(f"architectures is {str(architectures)[:100]}; only ['{family.architecture}'] is supported")
    for name, wanted in family.fixed.items():
        if top.flag(name, wanted) != wanted:
            top.unsupported(f"{name} is {str(not wanted).lower()}, which {family.architecture} does not compute either")
    if top.values.get("quantization_config") is not None:
        top.unsupported("quantization_config is there: its weights are quantized")


def _vocabularies(top: Section, family: Family) -> tuple[bool, int, int]:
    """Whether source and target share a table, and the sizes of their vocabularies."""
    size = top.integer("vocab_size", family.vocabulary)
    if not family.own_target_table:
        return True, size, size
    shared = top.flag("share_encoder_decoder_embeddings", True)
    target_size = top.integer("decoder_vocab_size", size)
    if shared and size != target_size:
        top.findings.invalid.append(
            f"decoder_vocab_size is {target_size}; expected vocab_size, {size}, with shared embeddings"
        )
    return shared, size, target_size


def _stack(top: Section, family: Family, side: str, vocabulary: int) -> StackConfig:
    activation = top.text("activation_function") or family.activation
    if activation not in _ACTIVATIONS and side == "encoder":
        top.unsupported(f"activation_function is {activation!r}; supported are {', '.join(_ACTIVATIONS)}")
    hidden = top.integer("d_model", 1024, high=1 << 14)
    if hidden % 2 and side == "encoder":
        top.unsupported(f"d_model is {hidden}; odd widths are not supported")
    if hidden == 2 and side == "encoder" and family.positions == "fairseq":
        top.invalid("d_model", "more than 2 with these positions", hidden)
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
        learned_positions=family.positions == "learned",
        activation=_ACTIVATIONS.get(activation, "gelu"),
        pre_norm=family.pre_norm,
        final_norm=family.pre_norm,
        embedding_norm=family.embedding_norm,
        scale_embeddings=top.flag("scale_embedding", family.scale_embedding),
    )


def _special_tokens(search: Section, family: Family, common_size: int, target_size: int) -> SpecialTokens:
    values = {**family.special, **search.values}
    if values.get("decoder_start_token_id") is None:
        values["decoder_start_token_id"] = values.get("bos_token_id")  # as transformers does
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


def _check_counted_positions(top: Section, family: Family, tokens: SpecialTokens) -> None:
    """Positions are counted from the model's own PAD on, and PAD has none."""
    pad = top.values.get("pad_token_id", family.special["pad_token_id"])
    if pad != tokens.pad and not top.findings.invalid:
        where = f"in {CONFIG_FILE}, where positions begin behind it, and {tokens.pad} in generation_config.json"
        top.unsupported(f"pad_token_id is {str(pad)[:50]} {where}")
    if tokens.start == tokens.pad and not top.findings.invalid:
        top.unsupported(f"decoder_start_token_id is {tokens.start}, which is pad_token_id: it would have no position")


def _generation(published: Section, family: Family, vocabulary: int) -> tuple[GenerationDefaults, tuple[str, ...]]:
    """The search settings, and notes on those that are out of range or not kept."""
    hf, notes = published_search(published, vocabulary)
    beam_size = GenerationDefaults().beam_size if published.values.get("num_beams") is None else hf.beam_size
    penalty = hf.length_penalty
    if not 0 <= penalty <= MAX_LENGTH_PENALTY:
        notes += (f"its length_penalty {penalty:g} holds for policy hf; that of the others became 1",)
        penalty = 1.0
    defaults = GenerationDefaults(
        beam_size=beam_size,
        length_penalty=penalty,
        max_length_delta=-1,
        forced_bos=hf.forced_bos if family.multilingual else NO_TOKEN,
        hf=hf,
    )
    return defaults, notes
