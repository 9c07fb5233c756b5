"""YouTokenToMe models: byte-pair encoding of whitespace-separated words, run by Hugging Face `tokenizers`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from nmt_trt.errors import ArchiveError

SPACE = "\u2581"
_SEPARATOR = f"[ \t\n\v\f\r{SPACE}]"
_UNKNOWN = ""  # the unknown token's text for `tokenizers`: no piece is empty
_MAX_ENTRIES = 1_000_000
_MAX_PIECE = 1024
_MAX_TEXT = 1 << 24


class YttmModel(NamedTuple):
    """A parsed model.

    Attributes:
        vocabulary: the id of every character and of every merged piece, U+2581 being the space.
        merges: the pairs of pieces that rules merge; the earliest goes first.
        unk, pad, bos, eos: special ids, -1 where there is none.
    """

    vocabulary: dict[str, int]
    merges: list[tuple[str, str]]
    unk: int
    pad: int
    bos: int
    eos: int


class YttmTokenizer:
    """A YouTokenToMe model.

    Args:
        data: the model file: `n_chars n_rules`, then `codepoint id` and `left right merged` lines, then
            `unk pad bos eos`.
        right_to_left: ids run from the end of the text to its beginning.

    Raises:
        ArchiveError: the file is damaged.
    """

    def __init__(self, data: bytes, *, right_to_left: bool = False) -> None:
        model = parse_yttm_model(data)
        self.unk, self.pad, self.bos, self.eos = model.unk, model.pad, model.bos, model.eos
        self._right_to_left = right_to_left
        self._tokenizer = _byte_pair_encoder(model)
        specials = {self.unk, self.pad, self.bos, self.eos} - {-1}
        self._pieces = [""] * (len(model.vocabulary) + len(specials))
        for piece, token in model.vocabulary.items():
            self._pieces[token] = f" {piece[1:]}" if piece.startswith(SPACE) else piece
        # YouTokenToMe takes a word's first token, if its id is 0, for one that was merged away.
        self._drops_zero = self._pieces[0].startswith(" ")

    @property
    def vocab_size(self) -> int:
        """Ids are 0 .. vocab_size - 1."""
        return len(self._pieces)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        if self._drops_zero:
            ids = [token for token in ids if token]
        return ids[::-1] if self._right_to_left else ids

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words of a text, each with the number of its ids."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        kept = [
            word for token, word in zip(encoding.ids, encoding.word_ids, strict=True) if token or not self._drops_zero
        ]
        counts = Counter(kept)
        words = [(word, counts[index]) for index, word in enumerate(filter(None, re.split(_SEPARATOR, text)))]
        return words[::-1] if self._right_to_left else words

    def decode(self, ids: Sequence[int | str]) -> str:
        """Text of ids; special tokens, the unknown one among them, are dropped.

        A word in the place of an id begins where the pieces before it end, or behind a space where a space alone is
        never kept.
        """
        gap = " " if self._pieces[0] == " " else ""
        pieces = [gap + token if isinstance(token, str) else self._pieces[token] for token in ids]
        return "".join(reversed(pieces) if self._right_to_left else pieces).removeprefix(" ")


def _byte_pair_encoder(model: YttmModel) -> Tokenizer:
    """YouTokenToMe's encoder: a word is U+2581 and its characters; a run of unknown characters is one token."""
    vocabulary = {_UNKNOWN: model.unk, **model.vocabulary}
    tokenizer = Tokenizer(models.BPE(vocabulary, model.merges, unk_token=_UNKNOWN, fuse_unk=True))
    words = pre_tokenizers.Split(Regex(_SEPARATOR), "removed")
    spaces = pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, spaces])
    return tokenizer


def parse_yttm_model(data: bytes) -> YttmModel:
    """Parse a YouTokenToMe model file.

    Raises:
        ArchiveError: not such a file, or one that contradicts itself.
    """
    numbers = _numbers(data)
    n_characters, n_rules = numbers[:2]
    rules_at = 2 + 2 * n_characters
    specials_at = rules_at + 3 * n_rules
    unk, pad, bos, eos = numbers[specials_at:]
    specials = [token for token in (unk, pad, bos, eos) if token != -1]
    size = n_characters + n_rules + len(specials)
    pieces: list[str | None] = [None] * size
    if unk == -1 or len(set(specials)) != len(specials) or not all(0 <= token < size for token in specials):
        raise ArchiveError(
            f"YouTokenToMe model with impossible special tokens: unk {unk}, pad {pad}, bos {bos}, eos {eos}"
        )
    for token in specials:
        pieces[token] = ""
    vocabulary: dict[str, int] = {}
    for at in range(2, rules_at, 2):
        _take(pieces, vocabulary, numbers[at + 1], _character(numbers[at]))
    if SPACE not in vocabulary:
        raise ArchiveError("YouTokenToMe model without U+2581")
    merges: list[tuple[str, str]] = []
    length = 0
    for rank, at in enumerate(range(rules_at, specials_at, 3)):
        left, right = _piece(pieces, numbers[at], rank), _piece(pieces, numbers[at + 1], rank)
        _take(pieces, vocabulary, numbers[at + 2], left + right)
        merges.append((left, right))
        length += len(left) + len(right)
        if length > _MAX_TEXT:
            raise ArchiveError(f"YouTokenToMe model whose pieces have more than {_MAX_TEXT:,} characters together")
    return YttmModel(vocabulary, merges, unk, pad, bos, eos)


def _numbers(data: bytes) -> list[int]:
    """All the numbers of the file, as many as its first two promise."""
    if not re.fullmatch(rb"\s*\d{1,7}\s+\d{1,7}\s[\s\d-]*", data):
        raise ArchiveError("not a YouTokenToMe model: expected whitespace-separated integers")
    n_characters, n_rules = map(int, data.split(maxsplit=2)[:2])
    if n_characters > _MAX_ENTRIES or n_rules > _MAX_ENTRIES:
        raise ArchiveError(f"YouTokenToMe model of {n_characters:,} characters and {n_rules:,} rules is too large")
    expected = 2 + 2 * n_characters + 3 * n_rules + 4
    words = data.split(maxsplit=expected)
    if len(words) != expected:
        found = "more" if len(words) > expected else f"{len(words):,}"
        raise ArchiveError(
            f"YouTokenToMe model of {n_characters:,} characters and {n_rules:,} rules: expected {expected:,} "
            f"numbers, found {found}"
        )
    try:
        return [int(word) for word in words]
    except ValueError as error:
        raise ArchiveError(f"not a YouTokenToMe model: {error}") from error


def _character(codepoint: int) -> str:
    if not 0 <= codepoint < 0x110000 or 0xD800 <= codepoint < 0xE000:
        raise ArchiveError(f"YouTokenToMe model with the impossible character {codepoint}")
    return chr(codepoint)


def _piece(pieces: list[str | None], token: int, rank: int) -> str:
    piece = pieces[token] if 0 <= token < len(pieces) else None
    if not piece:
        what = "undefined" if piece is None else "special"
        raise ArchiveError(f"YouTokenToMe model whose rule {rank} merges the {what} token {token}")
    return piece


def _take(pieces: list[str | None], vocabulary: dict[str, int], token: int, text: str) -> None:
    if not 0 <= token < len(pieces) or pieces[token] is not None:
        raise ArchiveError(f"YouTokenToMe model whose id {token} is used twice or is not below {len(pieces)}")
    if len(text) > _MAX_PIECE:
        raise ArchiveError(f"YouTokenToMe model with a piece of {len(text):,} characters")
    if text in vocabulary:
        raise ArchiveError(f"YouTokenToMe model with two ids for {text!r}: {vocabulary[text]} and {token}")
    pieces[token] = text
    vocabulary[text] = token
