"""NeMo's byte-level tokenizer: ids are the bytes of UTF-8."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BYTES = 256


class ByteLevelTokenizer:
    """Bytes 0-255, then pad, bos and eos; there is no unknown token within the vocabulary."""

    vocab_size = _BYTES + 3
    pad = _BYTES
    bos = _BYTES + 1
    eos = _BYTES + 2
    unk = _BYTES + 3

    def encode(self, text: str) -> list[int]:
        """The bytes of the text in UTF-8."""
        return list(text.encode("utf-8"))

    def words(self, text: str) -> list[tuple[str, int]]:
        """What is between spaces, and the spaces, each with the number of its bytes."""
        parts = re.findall(r"\s+|\S+", text)
        return [("" if part.isspace() else part, len(part.encode("utf-8"))) for part in parts]

    def decode(self, ids: Sequence[int | str]) -> str:
        """The text of the bytes; invalid UTF-8 is dropped, and so is space at the end, as NeMo does."""
        kept = (token for token in ids if isinstance(token, str) or token < _BYTES)
        parts = (token.encode("utf-8") if isinstance(token, str) else bytes([token]) for token in kept)
        return b"".join(parts).decode("utf-8", errors="ignore").rstrip()
