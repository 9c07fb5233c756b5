"""The sizes of engines that a model directory keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nmt_trt.engines.plan_spec import EngineSizes, Range
from nmt_trt.engines.stored_sizes import SIZES_FILE, read_engine_sizes, write_engine_sizes
from nmt_trt.errors import ModelDirectoryError
from random_models import random_config

CONFIG = random_config(0)


@pytest.mark.parametrize("sizes", [{}, {"source": Range(1, 8, 32)}, {"batch": Range.of(4), "beam": Range(1, 2, 12)}])
def test_what_is_kept_is_found(tmp_path: Path, sizes: EngineSizes) -> None:
    assert read_engine_sizes(tmp_path, CONFIG) == {}
    write_engine_sizes(tmp_path, sizes)
    assert read_engine_sizes(tmp_path, CONFIG) == sizes


def test_sizes_are_written_as_on_the_command_line(tmp_path: Path) -> None:
    write_engine_sizes(tmp_path, {"source": Range(1, 8, 32)})
    assert (tmp_path / SIZES_FILE).read_text() == '{\n  "source": "1:8:32"\n}\n'


def test_a_copy_made_of_links_keeps_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    write_engine_sizes(first, {"batch": Range.of(4)})
    os.link(first / SIZES_FILE, second / SIZES_FILE)
    write_engine_sizes(second, {"batch": Range.of(8)})
    assert read_engine_sizes(first, CONFIG) == {"batch": Range.of(4)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "should be an object"),
        ('{"length": "1:2:3"}', "length"),
        ('{"batch": 8}', "valid string"),
        ('{"batch": "8:4:2"}', "a range must have 1 <= min <= opt <= max"),
        ('{"source": "1:64:65"}', "source must not exceed the model's 64 positions"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / SIZES_FILE).write_text(content)
    with pytest.raises(ModelDirectoryError, match=message) as error:
        read_engine_sizes(tmp_path, CONFIG)
    assert SIZES_FILE in str(error.value)
