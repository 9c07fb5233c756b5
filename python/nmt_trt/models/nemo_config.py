"""Reads NeMo's model_config.yaml: what the importer needs of it, and all that is not supported in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import yaml

from nmt_trt.errors import ArchiveError
from nmt_trt.models.sections import Findings, Section
from nmt_trt.options import MAX_LENGTH_PENALTY

_FIRST_WITH_MASKED_ENCODER = (1, 6, 0)
_FIRST_WITHOUT_SOURCE_TOKENS = (1, 2, 0)
Library = Literal["yttm", "sentencepiece", "byte-level"]
_LIBRARIES: tuple[Library, ...] = ("yttm", "sentencepiece", "byte-level")


@dataclass(frozen=True)
class NemoStack:
    """One side's architecture as the configuration tells it."""

    hidden_size: int
    num_layers: int
    inner_size: int
    num_heads: int
    max_positions: int
    learned_positions: bool
    activation: Literal["relu", "gelu"]
    pre_norm: bool


@dataclass(frozen=True)
class NemoTokenizer:
    """One side's tokenizer; `special_ids` (pad, bos, eos) is None unless the configuration tells them."""

    library: Library
    model: str | None
    right_to_left: bool
    legacy: bool
    special_ids: tuple[int, int, int] | None


@dataclass(frozen=True)
class NemoConfig:
    """A configuration without anything unsupported in it.

    Attributes:
        source_languages, target_languages: a multilingual model's choices; empty for a side of one language.
        source_tokens: whether a many-to-one model puts the source language's token before a text.
    """

    version: str | None
    encoder: NemoStack
    decoder: NemoStack
    source_tokenizer: NemoTokenizer
    target_tokenizer: NemoTokenizer
    causal_encoder: bool
    beam_size: int
    length_penalty: float
    max_length_delta: int
    source_language: str | None
    target_language: str | None
    source_languages: tuple[str, ...]
    target_languages: tuple[str, ...]
    source_tokens: bool


class _Loader(yaml.SafeLoader):
    """SafeLoader without merge keys, which NeMo does not write: a few nested ones stand for more values than memory
    can hold.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Raise ConstructorError for a mapping that takes over another's values."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(problem="merge keys (<<) are not supported")
        super().flatten_mapping(node)


def parse_nemo_config(data: bytes) -> NemoConfig:
    """Parse model_config.yaml.

    Raises:
        UnsupportedModelError: options that nmt_trt does not have; lists all of them.
        ArchiveError: not YAML, or values that no NeMo model has; lists all of them.
    """
    try:
        content = yaml.load(data, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError, AttributeError, TypeError, LookupError) as error:
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        raise ArchiveError(f"model_config.yaml is not plain YAML: {' '.join(str(problem).split())[:300]}") from error
    if not isinstance(content, dict):
        raise ArchiveError(f"model_config.yaml: expected a mapping; found {type(content).__name__}")
    findings = Findings("model_config.yaml")
    parsed = _parse(Section("", content, findings))
    findings.report()
    return parsed


def _parse(top: Section) -> NemoConfig:
    target = top.text("target") or ""
    if target.rpartition(".")[2] != "MTEncDecModel":
        top.unsupported(f"target is {target!r}; only MTEncDecModel is supported")
    if not top.section("head", optional=True).flag("log_softmax", True):
        top.unsupported("head.log_softmax is false")
    if piece := top.text("sentencepiece_model"):
        top.unsupported(f"sentencepiece_model is {piece!r}, a second tokenizer of the first release candidate")
    version = top.text("nemo_version")
    source, several_sources, targets, several_targets = _languages(top)
    tokenizers = (top.section("encoder_tokenizer"), top.section("decoder_tokenizer"))
    multilingual = bool(several_sources or several_targets)
    encoder = top.section("encoder")
    return NemoConfig(
        version=version,
        encoder=_stack(encoder),
        decoder=_stack(top.section("decoder")),
        source_tokenizer=_tokenizer(tokenizers[0], multilingual),
        target_tokenizer=_tokenizer(tokenizers[1], multilingual),
        causal_encoder=encoder.flag("mask_future", _masks_by_default(version, encoder)),
        beam_size=top.integer("beam_size", 4),
        length_penalty=_length_penalty(top),
        max_length_delta=top.integer("max_generation_delta", 10, low=-(2**31)),
        source_language=source,
        target_language=targets,
        source_languages=several_sources,
        target_languages=several_targets,
        source_tokens=_numeric(version) < _FIRST_WITHOUT_SOURCE_TOKENS,
    )


def _length_penalty(top: Section) -> float:
    value = top.number("len_pen", 0.0)
    if not 0 <= value <= MAX_LENGTH_PENALTY:
        top.unsupported(f"len_pen is {value:g}; supported are 0 to {MAX_LENGTH_PENALTY}")
    return value


def _masks_by_default(version: str | None, encoder: Section) -> bool:
    """Whether an encoder without a `mask_future` of true or false is causal; an explicit null is false."""
    return "mask_future" not in encoder.values and _numeric(version) >= _FIRST_WITH_MASKED_ENCODER


def _numeric(version: str | None) -> tuple[int, ...]:
    """1.6.0rc2 as (1, 6, 0); a configuration without a version is from before there were any."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version or "")[:3])


def _languages(top: Section) -> tuple[str | None, tuple[str, ...], str | None, tuple[str, ...]]:
    """(source, its choices, target, its choices): a side has a language or choices."""
    source, target = top.languages("src_language"), top.languages("tgt_language")
    sides = (("src_language", source), ("tgt_language", target))
    lists = [name for name, value in sides if isinstance(value, tuple)]
    multilingual = top.flag("multilingual", False)
    if len(lists) == 2:
        top.unsupported("src_language and tgt_language are both lists, which NeMo refuses too")
    elif multilingual and not lists:
        top.unsupported("multilingual is true, but neither src_language nor tgt_language is a list")
    elif lists and not multilingual:
        top.unsupported(f"{lists[0]} is a list, but multilingual is false")
    return (*_one_or_several(source), *_one_or_several(target))


def _one_or_several(languages: str | tuple[str, ...] | None) -> tuple[str | None, tuple[str, ...]]:
    return (None, languages) if isinstance(languages, tuple) else (languages, ())


def _stack(side: Section) -> NemoStack:
    if (library := side.text("library") or "nemo") != "nemo":
        side.unsupported(f"{side.path}library is {library!r}; only 'nemo' is supported")
    if arch := side.text("arch"):
        side.unsupported(f"{side.path}arch is {arch!r}, a bottleneck model")
    activation = side.text("hidden_act") or "relu"
    if activation not in ("relu", "gelu"):
        side.unsupported(f"{side.path}hidden_act is {activation!r}; relu and gelu are supported")
    return NemoStack(
        hidden_size=side.integer("hidden_size", high=1 << 14),
        num_layers=side.integer("num_layers", high=1 << 10),
        inner_size=side.integer("inner_size", high=1 << 18),
        num_heads=side.integer("num_attention_heads", high=1 << 10),
        max_positions=side.integer("max_sequence_length", 512, high=1 << 16),
        learned_positions=side.flag("learn_positional_encodings", False),
        activation="gelu" if activation == "gelu" else "relu",
        pre_norm=side.flag("pre_ln", False),
    )


def _tokenizer(section: Section, multilingual: bool) -> NemoTokenizer:
    library = section.text("library") or section.text("tokenizer_name") or "yttm"
    if library not in _LIBRARIES:
        section.unsupported(f"{section.path}library is {library!r}; supported are {', '.join(_LIBRARIES)}")
    elif multilingual and library != "sentencepiece":
        section.unsupported(f"multilingual is true with {section.path}library {library!r}, not sentencepiece")
    ids = None
    if all(section.values.get(key) is not None for key in ("pad_id", "bos_id", "eos_id")):
        ids = (
            section.integer("pad_id", low=0),
            section.integer("bos_id", low=0),
            section.integer("eos_id", low=0),
        )
    return NemoTokenizer(
        library=next((known for known in _LIBRARIES if known == library), "yttm"),
        model=section.text("tokenizer_model"),
        right_to_left=section.flag("r2l", False) and library == "yttm",  # NeMo honours it there only
        legacy=section.flag("sentencepiece_legacy", False) and library == "sentencepiece",
        special_ids=ids,
    )
