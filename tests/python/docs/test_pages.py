"""The Python examples of the pages run as they stand, with the bundled model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nmt_trt
from nmt_trt.demo import demo_directory

DOCS = Path(__file__).parents[3] / "docs"
ELSEWHERE = {
    "batching.md": "which has a test of its own",
    "engines.md": "which needs a GPU",
    "hugging-face.md": "which has a test of its own",
}


def examples(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


PAGES = sorted(page.name for page in DOCS.glob("*.md") if examples(page) and page.name not in ELSEWHERE)


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").symlink_to(demo_directory())
    (tmp_path / "input.txt").write_text("It rains.\nGood morning.\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"nmt_trt": nmt_trt, "src_ids": [[2, 45, 871, 3]]}
    for example in examples(DOCS / name):
        exec(example, names)


def test_the_pages_that_are_left_out_are_there() -> None:
    assert {name for name in ELSEWHERE if examples(DOCS / name)} == set(ELSEWHERE)
