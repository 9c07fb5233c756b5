"""Lines and files, byte by byte."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from nmt_trt.cli import files
from nmt_trt.cli.files import open_output, read_lines
from nmt_trt.errors import LineError


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"a\r\r\n", ["a\r"]),
        (b"\n\n a \n\n", ["", "", " a ", ""]),
        ("a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g\n".encode(), ["a\u2028b\u2029c\x0bd\x0ce\x1cf\x85g"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("Füße\n日本\n".encode(), ["Füße", "日本"]),
        (b"a\x00b\n", ["a\x00b"]),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert list(read_lines(io.BytesIO(data))) == lines


def test_lines_with_their_ends() -> None:
    lines = read_lines(io.BytesIO(b"\xef\xbb\xbfa\r\n\nb\r\r\n\xc2\x85c"), keep_ends=True)
    assert list(lines) == ["a\r\n", "\n", "b\r\r\n", "\x85c"]


def test_bytes_that_are_not_utf8() -> None:
    lines = read_lines(io.BytesIO(b"fine\nab\xffc\nfine\n"))
    assert next(lines) == "fine"
    with pytest.raises(LineError, match="^line 2: not UTF-8: byte 3 of the line is 0xff$"):
        next(lines)


def test_an_endless_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 10)
    assert list(read_lines(io.BytesIO(b"123456789\n"))) == ["123456789"]
    with pytest.raises(LineError, match="^line 2: more than 10 bytes long"):
        list(read_lines(io.BytesIO(b"1\n" + b"x" * 1000)))


def test_output_appears_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with open_output(target) as sink:
        sink.write(b"new")
        sink.flush()
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    with pytest.raises(error), open_output(target) as sink:
        sink.write(b"new")
        raise error
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_output_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with open_output(tmp_path / "link") as sink:
        sink.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_directly() -> None:
    with open_output(Path(os.devnull)) as sink:
        sink.write(b"new")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"), open_output(tmp_path / "missing" / "out"):
        pass


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), open_output(tmp_path):
        pass


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
