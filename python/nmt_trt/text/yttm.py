"""YouTokenToMe models: byte-pair encoding of whitespace-separated words.

The encoder follows BaseEncoder::encode_sentence of YouTokenToMe 1.0.6 (https://github.com/VKCOM/YouTokenToMe):
every word is U+2581 and its characters; as long as a rule applies anywhere, the earliest rule is applied at
its leftmost place; a run of unknown characters is one unknown token.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from nmt_trt.errors import ArchiveError

SPACE = "\u2581"
_SEPARATORS = re.compile(f"[ \t\n\v\f\r{SPACE}]+")
_UNKNOWN = -1
_MAX_ENTRIES = 1_000_000
_MAX_PIECE = 1024
_CACHED_WORDS = 1 << 16
_CACHED_LENGTH = 64


class YttmModel(NamedTuple):
    """A parsed model.

    Attributes:
        characters: a character's id.
        rules: a pair of ids to (rank, merged id); the lowest rank goes first.
        pieces: the text that an id stands for: "" for the special ones, U+2581 at its beginning as a space.
        unk, pad, bos, eos: special ids, -1 where there is none.
    """

    characters: dict[str, int]
    rules: dict[tuple[int, int], tuple[int, int]]
    pieces: list[str]
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
        self._model = parse_yttm_model(data)
        self._right_to_left = right_to_left
        self._short_word = lru_cache(_CACHED_WORDS)(self._word)

    @property
    def vocab_size(self) -> int:
        """Ids are 0 .. vocab_size - 1."""
        return len(self._model.pieces)

    @property
    def unk(self) -> int:
        """The unknown token's id."""
        return self._model.unk

    @property
    def pad(self) -> int:
        """The padding token's id, -1 if there is none."""
        return self._model.pad

    @property
    def bos(self) -> int:
        """The id that begins a text, -1 if there is none."""
        return self._model.bos

    @property
    def eos(self) -> int:
        """The id that ends a text, -1 if there is none."""
        return self._model.eos

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        ids: list[int] = []
        for word in _SEPARATORS.split(text):
            if word:
                ids += self._short_word(word) if len(word) <= _CACHED_LENGTH else self._word(word)
        return ids[::-1] if self._right_to_left else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special tokens, the unknown one among them, are dropped."""
        pieces = [self._model.pieces[token] for token in ids]
        return "".join(reversed(pieces) if self._right_to_left else pieces).removeprefix(" ")

    def _word(self, word: str) -> tuple[int, ...]:
        """Ids of one word: merges over a linked list, the candidates in a heap by (rank, place)."""
        rules = self._model.rules
        tokens = self._characters(word)
        following = [*range(1, len(tokens)), -1]
        preceding = list(range(-1, len(tokens) - 1))
        heap = [(rules[pair][0], place) for place, pair in enumerate(pairwise(tokens)) if pair in rules]
        heapq.heapify(heap)
        while heap:
            rank, left = heapq.heappop(heap)
            right = following[left]  # -1 also for a place that was merged away
            rule = rules.get((tokens[left], tokens[right])) if right >= 0 else None
            if rule is None or rule[0] != rank:
                continue
            tokens[left] = rule[1]
            following[left], following[right] = following[right], -1
            if following[left] >= 0:
                preceding[following[left]] = left
            for place in (preceding[left], left):
                pair = (tokens[place], tokens[following[place]])
                if place >= 0 and following[place] >= 0 and pair in rules:
                    heapq.heappush(heap, (rules[pair][0], place))
        return self._chain(tokens, following)

    def _chain(self, tokens: list[int], following: list[int]) -> tuple[int, ...]:
        # YouTokenToMe takes a first token of id 0 (a U+2581 that was not merged) for one merged away.
        ids, place = [], 0 if tokens[0] else following[0]
        while place >= 0:
            ids.append(self.unk if tokens[place] == _UNKNOWN else tokens[place])
            place = following[place]
        return tuple(ids)

    def _characters(self, word: str) -> list[int]:
        """Ids of U+2581 and the word's characters, each run of unknown ones as one _UNKNOWN."""
        known = self._model.characters
        tokens = [known[SPACE]]
        for character in word:
            token = known.get(character, _UNKNOWN)
            if token != _UNKNOWN or tokens[-1] != _UNKNOWN:
                tokens.append(token)
        return tokens


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
    characters: dict[str, int] = {}
    for at in range(2, rules_at, 2):
        character, token = _character(numbers[at]), numbers[at + 1]
        _take(pieces, token, " " if character == SPACE else character)
        characters[character] = token
    if SPACE not in characters or len(characters) != n_characters:
        raise ArchiveError("YouTokenToMe model without U+2581, or with a character listed twice")
    rules: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, at in enumerate(range(rules_at, specials_at, 3)):
        left, right, merged = numbers[at : at + 3]
        if (left, right) in rules or left in specials or right in specials:
            raise ArchiveError(f"YouTokenToMe model whose rule {rank} repeats a pair or merges a special token")
        _take(pieces, merged, _piece(pieces, left, rank) + _piece(pieces, right, rank).replace(" ", SPACE))
        rules[left, right] = (rank, merged)
    return YttmModel(characters, rules, [piece or "" for piece in pieces], unk, pad, bos, eos)


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
    if piece is None:
        raise ArchiveError(f"YouTokenToMe model whose rule {rank} merges the undefined token {token}")
    return piece


def _take(pieces: list[str | None], token: int, text: str) -> None:
    if not 0 <= token < len(pieces) or pieces[token] is not None:
        raise ArchiveError(f"YouTokenToMe model whose id {token} is used twice or is not below {len(pieces)}")
    if len(text) > _MAX_PIECE:
        raise ArchiveError(f"YouTokenToMe model with a piece of {len(text):,} characters")
    pieces[token] = text
