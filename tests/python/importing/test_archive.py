"""Archives: the shapes that NeMo writes are read, hostile and damaged ones are refused by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importing.nemo_archives import write_tar
from nmt_trt.errors import ArchiveError
from nmt_trt.models.archive import Archive, Limits

MEMBERS = {
    "model_config.yaml": b"a: 1\n",
    "0123_tokenizer.model": b"x" * 700,
    "model_weights.ckpt": bytes(range(256)) * 9,
}


def special(name: str, kind: bytes, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tar_with(path: Path, *infos: tarfile.TarInfo, contents: bytes = b"hello") -> Path:
    with tarfile.open(path, "w") as tar:
        for info in infos:
            if info.isreg():
                info.size = len(contents)
            tar.addfile(info, io.BytesIO(contents) if info.isreg() else None)
    return path


def patched(path: Path, offset: int, data: bytes) -> Path:
    """The file with bytes replaced and the first header's checksum made right again."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("prefix", ["", "./"])
@pytest.mark.parametrize("compression", ["tar", "gz"])
def test_members_are_read(tmp_path: Path, prefix: str, compression: str) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS, prefix=prefix, compression=compression)
    with Archive(path) as archive:
        assert archive.names == list(MEMBERS)
        assert {name: archive.read(name, 1 << 20) for name in MEMBERS} == MEMBERS
        assert archive.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_dialect_is_read(tmp_path: Path, format_: int) -> None:
    name = "long/" + "n" * 90
    path = tmp_path / "model.nemo"
    with tarfile.open(path, "w", format=format_) as tar:
        info = tarfile.TarInfo(name)
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    with Archive(path) as archive:
        assert archive.read(name, 5) == b"hello"


def test_a_member_is_a_seekable_stream_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS)
    with Archive(path) as archive:
        first, second = archive.open("model_weights.ckpt"), archive.open("0123_tokenizer.model")
        assert first.seek(-6, io.SEEK_END) == 9 * 256 - 6
        assert second.read(3) == b"xxx"
        assert first.read() == bytes(range(250, 256))
        assert first.read(1) == b""
        assert first.seek(250) == 250 and first.read(6) == bytes(range(250, 256))
        with pytest.raises(ValueError, match="cannot seek"):
            first.seek(-1)


def test_a_missing_member_is_named_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS)
    with Archive(path) as archive, pytest.raises(ArchiveError, match=r"model\.nemo: has no member 'x'.*ckpt"):
        archive.open("x")


def test_a_member_beyond_its_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS)
    with Archive(path) as archive, pytest.raises(ArchiveError, match="has 700 bytes; at most 699"):
        archive.read("0123_tokenizer.model", 699)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../b", "a\\..\\b", "./.."])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = tar_with(tmp_path / "model.nemo", tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match=r"model\.nemo: member name .* is not a plain relative path"):
        Archive(path)


@pytest.mark.parametrize(
    ("info", "what"),
    [
        (special("a", tarfile.SYMTYPE, linkname="/etc/passwd"), "a symbolic link"),
        (special("a", tarfile.LNKTYPE, linkname="b"), "a hard link"),
        (special("a", tarfile.FIFOTYPE), "a named pipe"),
        (special("a", tarfile.CHRTYPE), "a device"),
        (special("a", tarfile.BLKTYPE), "a device"),
    ],
)
def test_anything_but_files_is_refused(tmp_path: Path, info: tarfile.TarInfo, what: str) -> None:
    path = tar_with(tmp_path / "model.nemo", info)
    with pytest.raises(ArchiveError, match=f"member 'a' is {what}; only regular files are accepted"):
        Archive(path)


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    path = tar_with(tmp_path / "model.nemo", tarfile.TarInfo("./a"), tarfile.TarInfo("a"))
    with pytest.raises(ArchiveError, match="two members named 'a'"):
        Archive(path)


def test_a_file_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="without a name"):
        Archive(tar_with(tmp_path / "model.nemo", tarfile.TarInfo(".")))


def test_limits_of_count_and_size(tmp_path: Path) -> None:
    path = tar_with(tmp_path / "model.nemo", *(tarfile.TarInfo(f"f{number}") for number in range(5)))
    with pytest.raises(ArchiveError, match="more than 4 members"):
        Archive(path, Limits(members=4))
    with pytest.raises(ArchiveError, match="at most 1,000 are accepted"):
        Archive(path, Limits(total=1000))


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, {"zeros": bytes(8 << 20)}, compression="gz")
    assert path.stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="decompresses to more than the 1,048,576 bytes"):
        Archive(path, Limits(total=1 << 20))


@pytest.mark.parametrize("compression", ["tar", "gz"])
def test_every_truncation_is_noticed(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS, compression=compression)
    content = path.read_bytes()
    end = len(content) if compression == "gz" else len(content.rstrip(b"\0")) + 1
    for length in range(0, end, 97):
        path.write_bytes(content[:length])
        with pytest.raises(ArchiveError, match=r"model\.nemo: "):
            Archive(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04" + bytes(600), b"\x93NUMPY" * 200, gzip.compress(b"no tar", mtime=0), b"\x1f\x8b\x08broken"],
)
def test_other_files_are_not_archives(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.nemo"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"neither a tar nor a tar\.gz|gzip data"):
        Archive(path)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="absent.nemo: cannot be read: No such file"):
        Archive(tmp_path / "absent.nemo")
    with pytest.raises(ArchiveError, match="cannot be read"):
        Archive(tmp_path)


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    path = tar_with(tmp_path / "model.nemo", tarfile.TarInfo("a"), tarfile.TarInfo("b"))
    patched(path, 124, b"\xff" * 10 + b"\xfc\x00")  # base-256 for -1024
    with pytest.raises(ArchiveError, match="impossible position or size|damaged"):
        Archive(path)


def test_a_size_beyond_the_file_is_refused(tmp_path: Path) -> None:
    path = patched(tar_with(tmp_path / "model.nemo", tarfile.TarInfo("a")), 124, b"77777777777\0")
    with pytest.raises(ArchiveError, match="truncated"):
        Archive(path)


def test_a_huge_pax_header_is_not_read(tmp_path: Path) -> None:
    path = tar_with(tmp_path / "model.nemo", special("x", tarfile.XHDTYPE), tarfile.TarInfo("a"))
    patched(path, 124, b"00100000000\0")
    with pytest.raises(ArchiveError, match="a header claims 16,777,216 bytes"):
        Archive(path)


def test_a_chain_of_pax_headers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.nemo"
    header = special("x", tarfile.XHDTYPE).tobuf()
    path.write_bytes(header * 5000 + bytes(1024))
    with pytest.raises(ArchiveError, match="damaged"):
        Archive(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_archive_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "model.nemo"
    write_tar(path, MEMBERS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 6000))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        with Archive(path) as archive:
            for name in archive.names:
                archive.read(name, 1 << 20)
    except ArchiveError:
        pass
