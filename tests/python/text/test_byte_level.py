"""Bytes as tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nmt_trt.text.byte_level import ByteLevelTokenizer

TOKENIZER = ByteLevelTokenizer()


def test_the_vocabulary() -> None:
    assert TOKENIZER.vocab_size == 259
    assert (TOKENIZER.pad, TOKENIZER.bos, TOKENIZER.eos, TOKENIZER.unk) == (256, 257, 258, 259)


def test_ids_are_bytes() -> None:
    assert TOKENIZER.encode("aé") == [97, 0xC3, 0xA9]


def test_special_tokens_and_broken_sequences_are_dropped() -> None:
    assert TOKENIZER.decode([257, 97, 0xC3, 98, 258, 256, 259]) == "ab"


@given(st.text())
def test_round_trip_without_space_at_the_end(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text.rstrip()
