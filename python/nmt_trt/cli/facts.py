"""A model's facts as aligned lines."""

from __future__ import annotations

from collections.abc import Mapping

from nmt_trt.inspection import Inspection
from nmt_trt.models.config import HfDefaults, StackConfig, TextConfig, TokenizerConfig, TransformerConfig
from nmt_trt.models.importing import FORMAT_VERSIONS
from nmt_trt.score_options import NO_TOKEN

_SHOWN = 8
"""Tokens, words or languages of a list that are shown."""


def model_facts(found: Inspection) -> dict[str, str]:
    """Name to value, in the order in which they are shown."""
    config = found.config
    facts = {
        "path": str(found.path),
        "kind": found.kind,
        "encoder": _stack(config.encoder),
        "decoder": _stack(config.decoder),
        "vocabulary": _both(f"{config.encoder.vocab_size:,}", f"{config.decoder.vocab_size:,}"),
        "longest input": _both(f"{config.encoder.max_positions:,}", f"{config.decoder.max_positions:,}") + " tokens",
        "parameters": f"{found.parameters:,}{_sharing(config)}",
        "source tokens": _source_tokens(config),
        "target tokens": _target_tokens(config),
        "search defaults": _search_defaults(config),
    }
    if config.generation.hf is not None:
        facts["with policy hf"] = _hf_defaults(config.generation.hf)
    facts |= _text_facts(config.text)
    if found.engine_shapes is not None:
        facts["engine sizes"] = str(found.engine_shapes)
    if config.provenance is not None:
        version = (
            f", {FORMAT_VERSIONS[config.provenance.format]} {config.provenance.version}"
            if config.provenance.version
            else ""
        )
        facts["made from"] = f"{config.provenance.file}{version}, sha256 {config.provenance.sha256}"
    facts["size"] = f"{sum(found.files.values()):,} bytes in {len(found.files)} files"
    facts |= {f"note {number}": note for number, note in enumerate(found.notes, start=1)}
    return facts


def aligned(facts: Mapping[str, str]) -> str:
    """One line a fact, values in one column."""
    width = max(map(len, facts))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in facts.items())


def _stack(stack: StackConfig) -> str:
    norm = "pre-norm" if stack.pre_norm else "post-norm"
    positions = "learned" if stack.learned_positions else "sinusoidal"
    embedding = ", scaled embeddings" if stack.scale_embeddings else ""
    return (
        f"{stack.num_layers} layers, hidden {stack.hidden_size}, inner {stack.inner_size}, {stack.num_heads} heads, "
        f"{stack.activation}, {norm}{' with final norm' if stack.final_norm else ''}, {positions} positions{embedding}"
    )


def _both(source: str, target: str) -> str:
    return source if source == target else f"source {source}, target {target}"


def _sharing(config: TransformerConfig) -> str:
    shared = [
        text
        for text, holds in (
            ("one embedding for source and target", config.shared_embeddings),
            ("output tied to the target embedding", config.tied_output),
        )
        if holds
    ]
    return f" ({', '.join(shared)})" if shared else ""


def _source_tokens(config: TransformerConfig) -> str:
    tokens = config.source_tokens
    prepended = f"prepended {', '.join(map(str, tokens.prepend))}, " if tokens.prepend else ""
    bos = "" if tokens.bos is None else f"bos {tokens.bos}, "
    return f"{prepended}{bos}eos {tokens.eos}, pad {tokens.pad}"


def _target_tokens(config: TransformerConfig) -> str:
    tokens = config.special_tokens
    return f"start {tokens.start}, eos {tokens.eos}, pad {tokens.pad}"


def _search_defaults(config: TransformerConfig) -> str:
    defaults = config.generation
    forced = "" if defaults.forced_bos == NO_TOKEN else f", forced bos {defaults.forced_bos}"
    return (
        f"beam size {defaults.beam_size}, length penalty {defaults.length_penalty:g}, "
        f"max length delta {defaults.max_length_delta}{forced}"
    )


def _hf_defaults(defaults: HfDefaults) -> str:
    """Beam size, length penalty and length, and what else is not left alone."""
    always = ("beam_size", "length_penalty", "max_length")
    changed = {name: value for name, value in defaults if name in always or value != getattr(HfDefaults(), name)}
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in changed.items())


def _value(value: object) -> str:
    """Numbers as they are, tokens apart by spaces, words by slashes; long lists cut."""
    if not isinstance(value, tuple):
        return f"{value:g}" if isinstance(value, float) else str(value).lower()
    words = value if value and isinstance(value[0], tuple) else (value,)
    shown = " / ".join(
        " ".join(map(str, word[:_SHOWN])) + (" ..." if len(word) > _SHOWN else "") for word in words[:_SHOWN]
    )
    return shown + (f" / ... ({len(words)})" if len(words) > _SHOWN else "")


def _text_facts(text: TextConfig | None) -> dict[str, str]:
    if text is None:
        return {"languages": "unknown", "tokenizer": "none: generates from ids only"}
    source = _languages(text.source_language, text.source_languages)
    target = _languages(text.target_language, text.target_languages)
    tokenizers = _both(_tokenizer(text.source_tokenizer), _tokenizer(text.target_tokenizer))
    return {"languages": f"{source} -> {target}", "tokenizer": tokenizers}


def _languages(own: str | None, choices: tuple[str, ...]) -> str:
    """A side's languages, its own first; long lists cut."""
    known = list(dict.fromkeys([*([own] if own else []), *choices]))
    shown = " or ".join(known[:_SHOWN]) or "unknown"
    return shown + (f" or ... ({len(known)})" if len(known) > _SHOWN else "")


def _tokenizer(tokenizer: TokenizerConfig) -> str:
    direction = ", right to left" if tokenizer.right_to_left else ""
    legacy = ", legacy special tokens" if tokenizer.legacy else ""
    return f"{tokenizer.kind}{legacy}{direction}"
