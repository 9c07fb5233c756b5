"""The search that a Hugging Face checkpoint was published with, as transformers' generate() takes it.

Defaults are those of transformers' GenerationConfig; their names are on the left in docs/policy-hf.md.
"""

from __future__ import annotations

from typing import Literal

from nmt_trt.models.config import HfDefaults
from nmt_trt.models.sections import Section
from nmt_trt.options import MAX_BEAM_SIZE, MAX_LENGTH_PENALTY
from nmt_trt.score_options import MAX_REPETITION_PENALTY, NO_TOKEN

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "begin_suppress_tokens": (None, []),
    "diversity_penalty": (None, 0.0),
    "do_sample": (None, False),
    "encoder_no_repeat_ngram_size": (None, 0),
    "encoder_repetition_penalty": (None, 1.0),
    "exponential_decay_length_penalty": (None,),
    "guidance_scale": (None, 1.0),
    "num_beam_groups": (None, 1),
    "num_return_sequences": (None, 1),
    "renormalize_logits": (None, False),
    "sequence_bias": (None,),
    "stop_strings": (None,),
}
"""Settings that a model directory does not keep, and the values with which they do nothing."""


def published_search(published: Section, vocabulary: int) -> tuple[HfDefaults, tuple[str, ...]]:
    """The settings, and notes on those that are out of range or not kept.

    Args:
        published: generation_config.json, or config.json where that is missing; takes note of what is invalid.
        vocabulary: of the target, which the tokens must be in.
    """
    notes: list[str] = []
    beam_size = published.integer("num_beams", 1)
    if beam_size > MAX_BEAM_SIZE:
        notes.append(f"its num_beams {beam_size} is more than {MAX_BEAM_SIZE}, which became the default instead")
    penalty = published.number("length_penalty", 1.0)
    if abs(penalty) > MAX_LENGTH_PENALTY:
        notes.append(
            f"its length_penalty {penalty:g} is not from -{MAX_LENGTH_PENALTY} to {MAX_LENGTH_PENALTY}; "
            "1 became the default instead"
        )
        penalty = 1.0
    repetition = published.number("repetition_penalty", 1.0)
    if not 0 < repetition <= MAX_REPETITION_PENALTY:
        published.invalid("repetition_penalty", f"a number above 0, at most {MAX_REPETITION_PENALTY}", repetition)
        repetition = 1.0
    ignored = [name for name, neutral in _NEUTRAL.items() if published.values.get(name) not in neutral]
    if ignored:
        notes.append(f"its search settings are not kept: {', '.join(ignored)}")
    max_length = _max_length(published)
    defaults = HfDefaults(
        beam_size=min(beam_size, MAX_BEAM_SIZE),
        length_penalty=penalty,
        max_length=max_length,
        early_stopping=_early_stopping(published),
        min_length=min(_min_length(published), max_length),
        repetition_penalty=repetition,
        no_repeat_ngram=published.integer("no_repeat_ngram_size", 0, low=0),
        forced_bos=_forced(published, "forced_bos_token_id", vocabulary),
        forced_eos=_forced(published, "forced_eos_token_id", vocabulary),
        bad_words=_words(published, "bad_words_ids", vocabulary),
        suppress_tokens=_tokens(published, "suppress_tokens", published.values.get("suppress_tokens"), vocabulary),
    )
    return defaults, tuple(notes)


def _max_length(published: Section) -> int:
    """Generated tokens; the `max_length` of transformers counts the start token too, and is 20 more than it if open."""
    if published.values.get("max_new_tokens") is not None:
        return published.integer("max_new_tokens")
    return published.integer("max_length", HfDefaults().max_length + 1, low=2) - 1


def _min_length(published: Section) -> int:
    if published.values.get("min_new_tokens") is not None:
        return published.integer("min_new_tokens", low=0)
    return max(published.integer("min_length", 0, low=0) - 1, 0)


def _early_stopping(published: Section) -> bool | Literal["never"]:
    if published.values.get("early_stopping") == "never":
        return "never"
    return published.flag("early_stopping", False)


def _forced(published: Section, key: str, vocabulary: int) -> int:
    """A token that may stand in a list by itself."""
    value = published.values.get(key)
    if value is None:
        return NO_TOKEN
    if not isinstance(value, list):
        return published.integer(key, low=0, high=vocabulary - 1)
    tokens = _tokens(published, key, value, vocabulary)
    if len(tokens) > 1:
        published.unsupported(f"{key} has {len(tokens)} tokens; one is supported")
    return tokens[0] if tokens else NO_TOKEN


def _words(published: Section, key: str, vocabulary: int) -> tuple[tuple[int, ...], ...]:
    words = published.values.get(key)
    if words is None:
        return ()
    if not isinstance(words, list) or [] in words:
        published.invalid(key, "a list of lists of token ids, none of them empty", words)
        return ()
    return tuple(filter(None, (_tokens(published, key, word, vocabulary) for word in words)))


def _tokens(published: Section, key: str, values: object, vocabulary: int) -> tuple[int, ...]:
    if values is None:
        return ()
    if isinstance(values, list) and all(type(token) is int and 0 <= token < vocabulary for token in values):
        return tuple(values)
    published.invalid(key, f"token ids from 0 to {vocabulary - 1}", values)
    return ()
