"""SentencePiece models as NeMo's SentencePieceTokenizer uses them, its `legacy` mode included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nmt_trt.errors import ArchiveError
from nmt_trt.text.dependencies import require

SPACE = "\u2581"


def load_processor(data: bytes) -> Any:
    """The sentencepiece library's SentencePieceProcessor of a serialized model.

    Raises:
        ArchiveError: not a SentencePiece model.
        MissingDependencyError: sentencepiece is not installed.
    """
    processor = require("sentencepiece", "a SentencePiece tokenizer").SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(data)
        size = int(processor.get_piece_size())
        processor.id_to_piece(list(range(size)))  # notices pieces that are not UTF-8
        processor.decode([processor.unk_id()])
    except (RuntimeError, ValueError, IndexError, OSError) as error:
        raise ArchiveError(f"not a SentencePiece model ({error})") from error
    if not size:
        raise ArchiveError("a SentencePiece model without pieces")
    return processor


def words_of(processor: Any, text: str) -> list[tuple[str, int]]:
    """The words of a text, each with the number of its pieces; spaces alone are an empty one."""
    words: list[list[str]] = []
    for piece in processor.encode(text, out_type=str):
        if piece.startswith(SPACE) or not words:
            words.append([])
        words[-1].append(piece)
    return [(str(processor.decode_pieces(pieces)).strip(), len(pieces)) for pieces in words]


class SentencePieceTokenizer:
    """A SentencePiece model.

    NeMo's legacy mode appends tokens to the model's own pieces, each found in the text before SentencePiece
    sees the rest: `<pad>`, `<bos>` and `<eos>` where the model defines none or has them at id 0, which NeMo
    takes for none, then `added_tokens`; but none that has a piece of that name.

    Args:
        data: the serialized model.
        legacy: NeMo's `sentencepiece_legacy`.
        added_tokens: further tokens to append, in legacy mode.

    Raises:
        ArchiveError: not a SentencePiece model.
        MissingDependencyError: sentencepiece is not installed.
    """

    def __init__(self, data: bytes, *, legacy: bool = False, added_tokens: Sequence[str] = ()) -> None:
        self._processor = load_processor(data)
        self._own_size = int(self._processor.get_piece_size())
        self._legacy = legacy
        self.unk = int(self._processor.unk_id())
        self._added: dict[str, int] = {}
        self.pad, self.bos, self.eos = (
            self._legacy_special(name) if legacy else int(getattr(self._processor, f"{name}_id")())
            for name in ("pad", "bos", "eos")
        )
        for token in added_tokens:
            self._add(token)
        self._names = {number: token for token, number in self._added.items()}
        self._split = re.compile("|".join(map(re.escape, self._added))) if self._added else None
        self._gap = " " if int(self._processor.piece_to_id(SPACE)) == self.unk else ""

    @property
    def vocab_size(self) -> int:
        """Ids are 0 .. vocab_size - 1."""
        return self._own_size + len(self._added)

    def token_id(self, token: str) -> int:
        """The id of a token, of the model's or an added one; `unk` if there is none."""
        return self._added.get(token, int(self._processor.piece_to_id(token)))

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        if self._split is None:
            return list(self._processor.encode(text))
        ids: list[int] = []
        start = 0
        for match in self._split.finditer(text):
            ids += self._processor.encode(text[start : match.start()])
            ids.append(self._added[match.group()])
            start = match.end()
        return ids + list(self._processor.encode(text[start:]))

    def words(self, text: str) -> list[tuple[str, int]]:
        """The words of a text, each with the number of its ids; an added token is one."""
        if self._split is None:
            return words_of(self._processor, text)
        words: list[tuple[str, int]] = []
        start = 0
        for match in self._split.finditer(text):
            words += [*words_of(self._processor, text[start : match.start()]), (match.group(), 1)]
            start = match.end()
        return words + words_of(self._processor, text[start:])

    def decode(self, ids: Sequence[int | str]) -> str:
        """Text of ids. An added token stands between spaces; added pad, bos and eos are dropped.

        NeMo leaves those three in the text, as `<eos>` and so on. A word in the place of an id begins where the pieces
        before it end, or behind a space where no piece is a space alone.
        """
        parts: list[str] = []
        run: list[int | str] = []
        for token in ids:
            if isinstance(token, str) or token not in self._names:
                run.append(token)
            elif token not in (self.pad, self.bos, self.eos):
                parts += [self._decode_run(run), self._names[token]]
                run = []
        text = " ".join([*parts, self._decode_run(run)])
        return text.strip() if self._legacy else text

    def _decode_run(self, ids: list[int | str]) -> str:
        if not any(isinstance(token, str) for token in ids):
            return str(self._processor.decode(ids)) if ids else ""
        pieces = [
            (self._gap if place else "") + token if isinstance(token, str) else self._processor.id_to_piece(token)
            for place, token in enumerate(ids)
        ]
        return str(self._processor.decode_pieces(pieces))

    def _legacy_special(self, name: str) -> int:
        number = int(getattr(self._processor, f"{name}_id")())
        return number if number > 0 else self._add(f"<{name}>")

    def _add(self, token: str) -> int:
        """The id of `token`, appended unless the model or an earlier addition has it."""
        if self.token_id(token) == self.unk and token not in self._added:
            self._added[token] = self.vocab_size
        return self.token_id(token)
