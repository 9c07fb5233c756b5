"""The examples of docs/batching.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "batching.md"


def test_the_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 7
    names: dict[str, object] = {"__name__": "__main__"}
    for example in examples:
        exec(example, names)
    assert len(capsys.readouterr().out.splitlines()) == 1 + 1 + 5 + 5 + 1 + 1
