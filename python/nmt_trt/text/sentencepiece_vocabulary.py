"""SentencePiece models whose pieces get their ids from a vocabulary apart, as in Hugging Face's checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from nmt_trt.errors import ArchiveError
from nmt_trt.models.config import VocabularyConfig
from nmt_trt.text.sentencepiece_model import SPACE, load_processor, words_of

_LANGUAGE = re.compile(r">>.*?<<", re.DOTALL)


class SentencePieceVocabularyTokenizer:
    """Splits text with a SentencePiece model and looks its pieces up; those that have no id are unknown.

    A text may begin with `>>xxx<<`, which is one token whatever SentencePiece makes of it, where `special` says so. The
    names of special tokens stand for these wherever they are in a text.

    Args:
        data: the serialized SentencePiece model.
        vocabulary: JSON, an object of ids by piece.
        special: the names of the special pieces.

    Raises:
        ArchiveError: not a SentencePiece model, or not such a vocabulary.
        MissingDependencyError: sentencepiece is not installed.
    """

    bos = -1

    def __init__(self, data: bytes, vocabulary: bytes, special: VocabularyConfig) -> None:
        self._processor = load_processor(data)
        self._ids = read_vocabulary(vocabulary, special.file)
        names = (special.pad, special.eos, special.unk, *special.special)
        missing = [name for name in names if name not in self._ids]
        if missing:
            raise ArchiveError(f"{special.file} has no id for {', '.join(missing)}")
        self.pad, self.eos, self.unk = (self._ids[name] for name in names[:3])
        self._dropped = {self._ids[name] for name in names}
        self._pieces = {number: piece for piece, number in self._ids.items()}
        longest_first = sorted(filter(None, names), key=len, reverse=True)
        self._gap = "" if SPACE in self._ids else SPACE
        self._special = re.compile("|".join(map(re.escape, longest_first)))
        self._language_prefix = special.language_prefix

    @property
    def vocab_size(self) -> int:
        """Ids are 0 .. vocab_size - 1; not all of them need have a piece."""
        return max(self._pieces) + 1

    @property
    def languages(self) -> dict[str, int]:
        """The ids of the tokens `>>xxx<<` by xxx."""
        return {piece[2:-2]: number for piece, number in self._ids.items() if _LANGUAGE.fullmatch(piece)}

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        ids: list[int] = []
        start = 0
        for match in self._special.finditer(text):
            ids += self._encode_plain(text[start : match.start()])
            ids.append(self._ids[match.group()])
            start = match.end()
        return ids + self._encode_plain(text[start:])

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words of a text, each with the number of its ids; special tokens and `>>xxx<<` are words."""
        words: list[tuple[str, int]] = []
        start = 0
        for match in self._special.finditer(text):
            words += [*self._plain_words(text[start : match.start()]), (match.group(), 1)]
            start = match.end()
        return words + self._plain_words(text[start:])

    def decode(self, ids: Sequence[int | str]) -> str:
        """Text of ids; special tokens and ids without a piece leave no trace.

        A word in the place of an id begins where the pieces before it end, or behind a space where no piece is a space
        alone.
        """
        pieces = [
            self._gap + token if isinstance(token, str) else self._pieces[token]
            for token in ids
            if isinstance(token, str) or (token not in self._dropped and token in self._pieces)
        ]
        text = str(self._processor.decode_pieces(pieces)) if pieces else ""
        return text.replace(SPACE, " ").strip()

    def _encode_plain(self, text: str) -> list[int]:
        """Ids of a text without special tokens in it."""
        prefix = self._language_of(text)
        pieces = [] if prefix is None else [prefix.group()]
        pieces += self._processor.encode(text if prefix is None else text[prefix.end() :], out_type=str)
        return [self._ids.get(piece, self.unk) for piece in pieces]

    def _language_of(self, text: str) -> re.Match[str] | None:
        return _LANGUAGE.match(text) if self._language_prefix else None

    def _plain_words(self, text: str) -> list[tuple[str, int]]:
        prefix = self._language_of(text)
        if prefix is None:
            return words_of(self._processor, text)
        return [(prefix.group(), 1), *words_of(self._processor, text[prefix.end() :])]


def read_vocabulary(data: bytes, name: str) -> dict[str, int]:
    """Ids by piece.

    Args:
        data: a JSON object.
        name: what errors call it.

    Raises:
        ArchiveError: not such an object, or ids that are negative, no integers, or given twice.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{name} is not JSON ({error})") from error
    if not isinstance(content, dict) or not content:
        raise ArchiveError(f"{name}: expected an object of ids by piece; found {type(content).__name__}")
    pieces: dict[int, str] = {}
    for piece, number in content.items():
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 31:
            raise ArchiveError(f"{name}: {piece!r} has the id {str(number)[:50]}; expected an integer from 0")
        if number in pieces:
            raise ArchiveError(f"{name}: {pieces[number]!r} and {piece!r} have the same id {number}")
        pieces[number] = piece
    return content
