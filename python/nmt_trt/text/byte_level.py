"""NeMo's byte-level tokenizer: ids are the bytes of UTF-8."""

from __future__ import annotations

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

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the bytes; invalid UTF-8 is dropped, and so is space at the end, as NeMo does."""
        return bytes(token for token in ids if token < _BYTES).decode("utf-8", errors="ignore").rstrip()
