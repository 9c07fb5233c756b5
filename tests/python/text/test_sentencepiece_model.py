"""SentencePiece with and without NeMo's legacy additions."""

from __future__ import annotations

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from importing.tokenizer_files import SENTENCES, sentencepiece_model
from nmt_trt.errors import ArchiveError
from nmt_trt.text.sentencepiece_model import SentencePieceTokenizer

BARE = (0, -1, -1, -1)


def test_ids_and_special_tokens_are_the_models() -> None:
    data = sentencepiece_model()
    library = sentencepiece.SentencePieceProcessor(model_proto=data)
    tokenizer = SentencePieceTokenizer(data)
    assert tokenizer.vocab_size == library.get_piece_size()
    assert (tokenizer.unk, tokenizer.pad, tokenizer.bos, tokenizer.eos) == (0, 3, 1, 2)
    for sentence in SENTENCES:
        assert tokenizer.encode(sentence) == library.encode(sentence)
        assert tokenizer.decode(tokenizer.encode(sentence)) == sentence


def test_special_tokens_leave_no_trace() -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_model())
    ids = tokenizer.encode("the boats")
    assert tokenizer.decode([tokenizer.bos, *ids, tokenizer.eos, tokenizer.pad]) == "the boats"
    assert tokenizer.decode([]) == tokenizer.decode([tokenizer.pad]) == ""


def test_missing_special_tokens_are_minus_one() -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_model(specials=BARE))
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos) == (-1, -1, -1)


@pytest.mark.parametrize(
    ("specials", "expected"),
    [
        (BARE, (96, 97, 98)),
        ((0, 3, 1, 2), (3, 1, 2)),
        ((1, 0, 2, 3), (0, 2, 3)),  # <pad> has id 0 and is found by its name
        ((1, 2, 0, 3), (2, 96, 3)),  # <s> has id 0, which NeMo takes for missing; <bos> is another token
    ],
)
def test_legacy_adds_what_is_missing(specials: tuple[int, int, int, int], expected: tuple[int, int, int]) -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_model(specials=specials), legacy=True)
    assert (tokenizer.pad, tokenizer.bos, tokenizer.eos) == expected
    assert tokenizer.vocab_size == max(95, *expected) + 1


def test_legacy_finds_added_tokens_in_the_text() -> None:
    data = sentencepiece_model(specials=BARE)
    plain = SentencePieceTokenizer(data)
    tokenizer = SentencePieceTokenizer(data, legacy=True, added_tokens=["<de>"])
    assert tokenizer.token_id("<de>") == 99
    assert tokenizer.encode("the <de> boats<eos>") == [*plain.encode("the "), 99, *plain.encode(" boats"), 98]


def test_legacy_keeps_added_tokens_apart_in_the_text() -> None:
    tokenizer = SentencePieceTokenizer(sentencepiece_model(specials=BARE), legacy=True, added_tokens=["<de>"])
    the, boats = tokenizer.encode("the"), tokenizer.encode("boats")
    assert tokenizer.decode([tokenizer.bos, 99, *the, 99, *boats, tokenizer.eos]) == "<de> the <de> boats"
    assert tokenizer.decode([tokenizer.bos, *the, tokenizer.eos, tokenizer.pad]) == "the"


def test_an_added_token_that_is_a_piece_is_not_added() -> None:
    data = sentencepiece_model(user_symbols=("<de>",))
    tokenizer = SentencePieceTokenizer(data, legacy=True, added_tokens=["<de>", "<es>", "<es>"])
    assert tokenizer.token_id("<de>") < 96
    assert tokenizer.token_id("<es>") == 96 and tokenizer.vocab_size == 97
    assert tokenizer.token_id("<fr>") == tokenizer.unk


@pytest.mark.parametrize("data", [b"", b"\0" * 10, b"not a model", sentencepiece_model()[:400]])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match="not a SentencePiece model"):
        SentencePieceTokenizer(data)


def test_a_piece_that_is_not_utf_8_is_refused() -> None:
    data = sentencepiece_model()
    with pytest.raises(ArchiveError, match="not a SentencePiece model .*utf-8"):
        SentencePieceTokenizer(data.replace("\u2581the".encode(), b"\xff\xff\xffthe", 1))


def test_an_endless_piece_is_refused() -> None:
    """A unigram model with one more piece, of 250,000 characters: sentencepiece 0.2.1 overflows its stack."""
    text = b"\x0a\x90\xa1\x0f" + b"z" * 250_000  # field 1 of a SentencePiece
    piece = b"\x0a\x94\xa1\x0f" + text  # field 1 of a ModelProto
    with pytest.raises(ArchiveError, match="not a SentencePiece model .*too long"):
        SentencePieceTokenizer(sentencepiece_model(vocab_size=80, model_type="unigram") + piece)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_ids_of_the_vocabulary(text: str) -> None:
    for tokenizer in (
        SentencePieceTokenizer(sentencepiece_model()),
        SentencePieceTokenizer(sentencepiece_model(specials=BARE), legacy=True),
    ):
        ids = tokenizer.encode(text)
        assert all(0 <= token < tokenizer.vocab_size for token in ids)
        tokenizer.decode(ids)
