"""Spaces in text that mixes Chinese or Japanese with other scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

from nmt_trt.errors import MissingDependencyError
from nmt_trt.text.dependencies import require

# Curly quotes, CJK radicals to Bopomofo, enclosed letters, ideographs (three blocks), full-width forms.
_WIDE = "[\u2018\u2019\u201c\u201d\u2e80-\u312f\u3200-\u32ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]"
_SPACE_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})\s+(?={_WIDE})")


def wide_joiner(extra: str) -> Callable[[str], str]:
    """A function that drops spaces between wide characters and puts them between those and Latin ones.

    Args:
        extra: the extra of nmt_trt whose user asks.

    Raises:
        MissingDependencyError: pangu 4 is not installed; later versions space differently.
    """
    purpose = "spacing of Chinese and Japanese text"
    spacing = getattr(require("pangu", purpose, extra), "spacing", None)
    if spacing is None:
        raise MissingDependencyError(f"{purpose} needs pangu 4, as NeMo does: pip install 'nmt_trt[{extra}]'")

    def join(text: str) -> str:
        return str(spacing(_SPACE_BETWEEN_WIDE.sub("", text))).strip()

    return join
