"""YouTokenToMe: the same ids and texts as the real library, whose answers are in data/yttm_golden.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importing.tokenizer_files import SENTENCES, yttm_model
from nmt_trt.errors import ArchiveError
from nmt_trt.text.yttm import YttmTokenizer, parse_yttm_model

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data" / "yttm_golden.json").read_text())
A, B, C, SPACE = (ord(character) for character in ("a", "b", "c", "\u2581"))
HAND_MADE = f"4 3  {SPACE} 4 {A} 5 {B} 6 {C} 7  5 6 8  8 7 9  4 9 10  1 0 2 3".encode()
"""U+2581, a, b, c; then ab, abc and U+2581 abc."""


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['vocab_size']}-{case['unk_pad_bos_eos']}")
def test_the_real_library_agrees(case: dict[str, Any]) -> None:
    model = case["model"].encode()
    forward, backward = YttmTokenizer(model), YttmTokenizer(model, right_to_left=True)
    assert forward.vocab_size == case["vocab_size"]
    assert [forward.unk, forward.pad, forward.bos, forward.eos] == case["unk_pad_bos_eos"]
    for text, ids, reverse, decoded in zip(
        case["texts"], case["ids"], case["reversed_ids"], case["decoded"], strict=True
    ):
        assert forward.encode(text) == ids, text
        assert backward.encode(text) == reverse, text
        assert forward.decode(ids) == decoded, text
        assert backward.decode(reverse) == decoded, text


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("abc", [10]),
        ("ab", [4, 8]),
        ("bc", [4, 6, 7]),
        ("cab", [4, 7, 8]),
        ("abab", [4, 8, 8]),
        ("abc abc", [10, 10]),
        ("abx", [4, 8, 1]),
        ("xyz", [4, 1]),
        ("xayb", [4, 1, 5, 1, 6]),
        (" a\t\u2581b ", [4, 5, 4, 6]),
        ("a\u00a0b", [4, 5, 1, 6]),
        ("", []),
        ("\n", []),
    ],
)
def test_encodings_computed_by_hand(text: str, ids: list[int]) -> None:
    assert YttmTokenizer(HAND_MADE).encode(text) == ids


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([10], "abc"),
        ([10, 10], "abc abc"),
        ([8, 4, 6], "ab b"),
        ([2, 10, 1, 3, 0, 0], "abc"),
        ([4], ""),
        ([], ""),
    ],
)
def test_decodings_computed_by_hand(ids: list[int], text: str) -> None:
    assert YttmTokenizer(HAND_MADE).decode(ids) == text


def test_a_rule_of_a_lower_rank_goes_first() -> None:
    """ "abc" with the rules (b, c) then (a, b): the second never applies."""
    model = f"4 2  {SPACE} 4 {A} 5 {B} 6 {C} 7  6 7 8  5 6 9  1 0 2 3".encode()
    assert YttmTokenizer(model).encode("abc") == [4, 5, 8]
    assert YttmTokenizer(model).encode("ab") == [4, 9]


def test_equal_rules_apply_from_the_left() -> None:
    model = f"2 1  {SPACE} 4 {A} 5  5 5 6  1 0 2 3".encode()
    assert YttmTokenizer(model).encode("aaaaa") == [4, 6, 6, 5]


def test_long_words_take_near_linear_time() -> None:
    tokenizer = YttmTokenizer(yttm_model())
    ids = tokenizer.encode("the" * 50_000)
    assert tokenizer.decode(ids) == "the" * 50_000


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "expected whitespace-separated integers"),
        (b"\x00\x01", "expected whitespace-separated integers"),
        (b"1 0 9601 4 1 0 2 x", "expected whitespace-separated integers"),
        (b"-1 0 9601 4", "expected whitespace-separated integers"),
        (b"9999999 9999999 1", "is too large"),
        (b"2 0 9601 4 1 0 2 3", "expected 10 numbers, found 8"),
        (b"1 0 9601 4 1 0 2 3 7", "expected 8 numbers, found more"),
        (b"1 0 9601 4 1 0 2 3-", "not a YouTokenToMe model: invalid literal"),
        (b"1 0 9601 4 -1 0 2 3", "impossible special tokens"),
        (b"1 0 9601 4 1 1 2 3", "impossible special tokens"),
        (b"1 0 9601 4 1 0 2 5", "impossible special tokens"),
        (b"1 0 9601 4 1 0 2 -2", "impossible special tokens"),
        (b"1 0 97 4 1 0 2 3", r"without U\+2581"),
        (b"2 0 9601 4 9601 5 1 0 2 3", "two ids for '▁': 4 and 5"),
        (b"1 0 55296 4 1 0 2 3", "impossible character 55296"),
        (b"1 0 1114112 4 1 0 2 3", "impossible character"),
        (b"1 0 9601 3 1 0 2 3", "id 3 is used twice"),
        (b"1 0 9601 9 1 0 2 3", "id 9 is used twice or is not below 5"),
        (b"1 0 9601 -3 1 0 2 3", "id -3"),
        (b"1 1 9601 4 4 6 5 1 0 2 3", "rule 0 merges the undefined token 6"),
        (b"1 1 9601 4 4 5 5 1 0 2 3", "rule 0 merges the undefined token 5"),
        (b"1 1 9601 4 4 0 5 1 0 2 3", "rule 0 merges the special token 0"),
        (b"1 2 9601 4 4 4 5 4 4 6 1 0 2 3", "two ids for '▁▁': 5 and 6"),
    ],
)
def test_damaged_models_are_refused(data: bytes, told: str) -> None:
    with pytest.raises(ArchiveError, match=told):
        parse_yttm_model(data)


def test_pieces_that_double_in_length_are_refused() -> None:
    rules = "".join(f"{token} {token} {token + 1} " for token in range(4, 60))
    with pytest.raises(ArchiveError, match="a piece of 2,048 characters"):
        parse_yttm_model(f"1 56 {SPACE} 4 {rules} 1 0 2 3".encode())


def test_a_text_has_one_id() -> None:
    """(ab, c) and (a, bc) make the same piece, which byte-pair encoding never learns."""
    model = f"4 4  {SPACE} 4 {A} 5 {B} 6 {C} 7  5 6 8  6 7 9  8 7 10  5 9 11  1 0 2 3".encode()
    with pytest.raises(ArchiveError, match="two ids for 'abc': 10 and 11"):
        parse_yttm_model(model)


def test_pieces_that_are_too_long_together_are_refused() -> None:
    """32,800 pieces of 513 characters, from a file of less than a megabyte."""
    last, count = 13, 32_800
    characters = " ".join(f"{0x4E00 + number} {last + 1 + number}" for number in range(count))
    doubling = " ".join(f"{token} {token} {token + 1}" for token in range(4, last))
    rules = " ".join(f"{last} {last + 1 + number} {last + 1 + count + number}" for number in range(count))
    model = f"{count + 1} {last - 4 + count} {SPACE} 4 {characters} {doubling} {rules} 1 0 2 3"
    with pytest.raises(ArchiveError, match="more than 16,777,216 characters together"):
        parse_yttm_model(model.encode())


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_model_is_an_archive_error_or_works(data: st.DataObject) -> None:
    content = bytearray(HAND_MADE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(
            st.integers(0, 255) | st.sampled_from(b" 0123456789")
        )
    try:
        tokenizer = YttmTokenizer(bytes(content))
    except ArchiveError:
        return
    tokenizer.decode(tokenizer.encode("abc cab xyz"))


@settings(deadline=None)
@given(st.text(alphabet="".join(sorted(set("".join(SENTENCES) + " \t\n"))), max_size=60))
def test_known_characters_survive_the_round_trip(text: str) -> None:
    for right_to_left in (False, True):
        tokenizer = YttmTokenizer(yttm_model(), right_to_left=right_to_left)
        assert tokenizer.decode(tokenizer.encode(text)) == " ".join(text.split())


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_ids_of_the_vocabulary(text: str) -> None:
    tokenizer = YttmTokenizer(yttm_model())
    assert all(0 <= token < tokenizer.vocab_size for token in tokenizer.encode(text))
