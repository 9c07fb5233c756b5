"""Checkpoints: what torch.save writes is read exactly; anything else in the file is refused."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importing.nemo_archives import checkpoint_bytes
from nmt_trt.errors import ArchiveError
from nmt_trt.models.checkpoint import read_checkpoint
from nmt_trt.models.storage import Array

MATRIX = torch.arange(24.0).reshape(4, 6)
TENSORS = {
    "whole": MATRIX,
    "transposed": MATRIX.t(),
    "sliced": MATRIX[1:3, 2:5],
    "strided": MATRIX[::2, ::3],
    "row": MATRIX[2],
    "scalar": torch.tensor(3.5),
    "element": MATRIX[1, 1],
    "empty": torch.zeros(0, 4),
    "parameter": torch.nn.Parameter(MATRIX * 2),
    "cube": torch.arange(60.0).reshape(3, 4, 5).permute(2, 0, 1),
}


def read(data: bytes) -> dict[str, Array]:
    return read_checkpoint(io.BytesIO(data), "weights")


def rezipped(data: bytes, change: Callable[[str, bytes], bytes | None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The zip file with the content of its entries changed; None drops an entry."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", compression) as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
    return out.getvalue()


def with_pickle(program: bytes) -> bytes:
    """A checkpoint whose data.pkl is `program`."""
    return rezipped(checkpoint_bytes({"a": MATRIX}), lambda name, old: program if name.endswith("data.pkl") else old)


def test_every_kind_of_view() -> None:
    result = read(checkpoint_bytes(TENSORS))
    assert list(result) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(result[name], tensor.detach().numpy(), strict=True)
        assert result[name].flags.c_contiguous and not result[name].flags.writeable


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8,
              torch.uint8, torch.bool]
)  # fmt: skip
def test_every_dtype(dtype: torch.dtype) -> None:
    tensor = torch.tensor([[0, 1, 2], [3, 100, 1]]).to(dtype)
    np.testing.assert_array_equal(read(checkpoint_bytes({"a": tensor}))["a"], tensor.numpy(), strict=True)


def test_bfloat16_becomes_float32_exactly() -> None:
    values = torch.tensor([0.0, -0.0, 1.0, 3.1415927, 1e-40, 3e38, float("inf"), float("nan")]).bfloat16()
    result = read(checkpoint_bytes({"a": values}))["a"]
    np.testing.assert_array_equal(result.view(np.uint32), values.float().numpy().view(np.uint32), strict=True)


def test_tied_tensors_share_memory() -> None:
    result = read(checkpoint_bytes({"a": MATRIX, "b": MATRIX, "c": MATRIX.clone()}))
    assert np.shares_memory(result["a"], result["b"])
    assert not np.shares_memory(result["a"], result["c"])


def test_a_real_state_dict_with_metadata(tmp_path: Path) -> None:
    linear = torch.nn.Linear(3, 4)
    module = torch.nn.Sequential(linear, torch.nn.LayerNorm(4))
    path = tmp_path / "weights.ckpt"
    torch.save(module.state_dict(), path)
    result = read_checkpoint(path)
    assert list(result) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    np.testing.assert_array_equal(result["0.weight"], linear.weight.detach().numpy())


def test_big_endian_data() -> None:
    def swap(name: str, old: bytes) -> bytes:
        if name.endswith("byteorder"):
            return b"big"
        return np.frombuffer(old, "<f4").astype(">f4").tobytes() if "/data/" in name else old

    data = rezipped(checkpoint_bytes({"a": MATRIX}), swap)
    np.testing.assert_array_equal(read(data)["a"], MATRIX.numpy(), strict=True)


def test_a_missing_byte_order_is_little_endian() -> None:
    data = rezipped(checkpoint_bytes({"a": MATRIX}), lambda name, old: None if "byteorder" in name else old)
    np.testing.assert_array_equal(read(data)["a"], MATRIX.numpy())


def test_an_unknown_byte_order_is_refused() -> None:
    data = rezipped(checkpoint_bytes({"a": MATRIX}), lambda name, old: b"middle" if "byteorder" in name else old)
    with pytest.raises(ArchiveError, match="weights: has the unknown byte order b'middle'"):
        read(data)


class Hostile:
    """Unpickling this would run a command."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/never",)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Hostile(), r"posix\.system"),
        ({"a": Hostile()}, r"posix\.system"),
        (collections.Counter("aa"), r"collections\.Counter"),
        (np.float32(1.0), r"numpy\.\S+"),
        ({"a": torch.nn.Linear(1, 1)}, r"torch\.nn\.modules\.linear\.Linear"),
        (torch.zeros(2).to_sparse(), r"torch\._utils\._rebuild_sparse_tensor"),
        ({"a": torch.float32}, r"torch\.float32"),
    ],
)
def test_whatever_a_state_dict_does_not_need_is_named(value: object, name: str) -> None:
    with pytest.raises(ArchiveError, match=f"weights: the pickle refers to {name}, which no state dict needs"):
        read(with_pickle(pickle.dumps(value, protocol=2)) if "posix" in name else checkpoint_bytes(value))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([MATRIX], "found a list"),
        (MATRIX, "found a tensor"),
        ({"a": MATRIX, "epoch": 3}, "entry 'epoch' holds an integer"),
        ({"state_dict": {"a": MATRIX}}, "entry 'state_dict' holds a mapping"),
        ({1: MATRIX}, "entry 1 holds a tensor"),
    ],
)
def test_only_names_of_tensors_are_a_state_dict(value: object, what: str) -> None:
    with pytest.raises(ArchiveError, match=f"weights: expected a state dict .*{what}"):
        read(checkpoint_bytes(value))


def tensor_program(
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    elements: int = 24,
    storage: str = "FloatStorage",
) -> bytes:
    """A pickle of {'a': one tensor of the storage '0'} with these numbers."""

    def numbers(values: tuple[int, ...]) -> str:
        return "(" + "".join(f"I{value}\n" for value in values) + "t"

    program = (
        f"}}Va\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n{storage}\nV0\nVcpu\nI{elements}\ntQ"
        f"I{offset}\n{numbers(shape)}{numbers(strides)}I00\nccollections\nOrderedDict\n(tRtRs."
    )
    return b"\x80\x02" + as_protocol_2(program.encode())


def as_protocol_2(program: bytes) -> bytes:
    """The same program in the opcodes that torch.save uses."""
    out = b""
    for opcode, argument, position in pickletools.genops(program):
        if opcode.name == "INT":
            out += pickle.dumps(argument, protocol=2)[2:-1]
        elif opcode.name == "UNICODE":
            text = str(argument).encode()
            out += b"X" + len(text).to_bytes(4, "little") + text
        elif opcode.name == "GLOBAL":
            out += b"c" + str(argument).replace(" ", "\n").encode() + b"\n"
        else:
            assert position is not None
            out += program[position : position + 1]
    return out


def test_a_hand_made_tensor_is_read() -> None:
    np.testing.assert_array_equal(read(with_pickle(tensor_program((2, 3), (6, 1), 7)))["a"], MATRIX[1:3, 1:4])


@pytest.mark.parametrize(
    "program",
    [
        tensor_program((5, 6), (6, 1)),
        tensor_program((4, 6), (7, 1)),
        tensor_program((4, 6), (6, 1), offset=1),
        tensor_program((24,), (2,)),
        tensor_program((1,), (1,), offset=24),
        tensor_program((), (), offset=24),
        tensor_program((0,), (1,), offset=25),
        tensor_program((2**62, 4), (0, 1)),
        tensor_program((1 << 40, 1 << 40), (0, 0)),
        tensor_program((2,), (-1,), offset=1),
        tensor_program((-2,), (1,)),
        tensor_program((2,), (1,), offset=-1),
        tensor_program((1,) * 9, (1,) * 9),
        tensor_program((24,), (1,), elements=25),
        tensor_program((24,), (1,), elements=2**62),
        tensor_program((24,), (1,), elements=-1),
        tensor_program((12,), (1,), elements=24, storage="DoubleStorage"),
        tensor_program((2, 3), (6,)),
    ],
)
def test_a_tensor_that_does_not_fit_its_storage_is_refused(program: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"^weights: "):
        read(with_pickle(program))


def test_expanded_tensors_are_refused() -> None:
    with pytest.raises(ArchiveError, match=r"tensor 'a' of shape \(5, 4\) is larger than its storage of 4"):
        read(checkpoint_bytes({"a": torch.zeros(4).expand(5, 4)}))


def test_a_storage_that_many_tensors_view_is_refused() -> None:
    matrix = torch.zeros(8, 8)
    with pytest.raises(ArchiveError, match="tensors view storage '0' more than 16 times"):
        read(checkpoint_bytes({str(number): matrix.T for number in range(17)}))
    assert len(read(checkpoint_bytes({str(number): matrix.T for number in range(16)}))) == 16


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(b"\x80\x02})" + 100_000 * b"\x85" + b"K\x01s.", id="a key of nested tuples"),
        pytest.param(b"\x80\x02})" + 60 * b"q\x00h\x00\x86" + b"K\x01s.", id="a key of shared tuples"),
        b"",
        b".",
        b"\x80\x02.",
        b"\x80\x02K\x01",
        b"\x80\x02t.",
        b"\x80\x02(K\x01u.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02}(K\x01K\x02K\x01K\x03u.",
        b"\x80\x02}]}s.",
        b"\x80\x02h\x05.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        b"\x80\x02X\xff\xff\xff\x7f.",
        b"\x80\x02K\x01Q.",
        b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
        b"\x80\x02K\x01)R.",
        b"\x80\x02K\x01K\x02b.",
        b"\x80\x02K\x01}\x81.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02(cos\nsystem\nVls\no.",
        b"\x80\x02(Vls\nios\nsystem\n.",
    ],
)
def test_broken_programs_are_refused(program: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"^weights: "):
        read(with_pickle(program))


def test_compressed_entries_are_refused() -> None:
    data = rezipped(checkpoint_bytes({"a": torch.zeros(1 << 20)}), lambda _, old: old, zipfile.ZIP_DEFLATED)
    assert len(data) < 100_000
    with pytest.raises(ArchiveError, match="is compressed, which PyTorch never does"):
        read(data)


def test_missing_and_repeated_entries_are_refused() -> None:
    data = checkpoint_bytes({"a": MATRIX})
    with pytest.raises(ArchiveError, match=r"has no entry 'data\.pkl'"):
        read(rezipped(data, lambda name, old: None if "pkl" in name else old))
    with pytest.raises(ArchiveError, match="has no entry 'data/0'"):
        read(rezipped(data, lambda name, old: None if name.endswith("/0") else old))
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("other/data/0", b"")
    with pytest.raises(ArchiveError, match="two entries named 'data/0'"):
        read(out.getvalue())


def test_a_storage_of_the_wrong_size_is_refused() -> None:
    data = rezipped(checkpoint_bytes({"a": MATRIX}), lambda name, old: old[:-4] if name.endswith("/0") else old)
    with pytest.raises(ArchiveError, match="entry 'data/0' has 92 bytes; expected 24 times 4"):
        read(data)


def test_entries_that_overlap_are_refused() -> None:
    """Many directory records of one large entry would otherwise multiply its size."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/data/0", bytes(1 << 20))
        info = archive.infolist()[0]
        for number in range(1, 50):
            copy = zipfile.ZipInfo(f"a/data/{number}")
            copy.file_size = copy.compress_size = info.file_size
            copy.header_offset, copy.CRC = info.header_offset, info.CRC
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(ArchiveError, match=r"claim 52,428,800 bytes in a file of 1,0"):
        read(out.getvalue())


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"hello" * 100])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"^weights: "):
        read(data)


def test_truncation_is_refused() -> None:
    data = checkpoint_bytes(TENSORS)
    for length in range(0, len(data), 101):
        with pytest.raises(ArchiveError, match=r"^weights: "):
            read(data[:length])


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="absent: cannot be read: No such file"):
        read_checkpoint(tmp_path / "absent")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damage_is_an_archive_error_or_harmless(data: st.DataObject) -> None:
    content = bytearray(checkpoint_bytes(TENSORS))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArchiveError):
        read(bytes(content))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_is_an_archive_error_or_harmless(data: st.DataObject) -> None:
    with zipfile.ZipFile(io.BytesIO(checkpoint_bytes(TENSORS))) as archive:
        program = bytearray(archive.read(next(name for name in archive.namelist() if name.endswith("pkl"))))
    for _ in range(data.draw(st.integers(1, 5))):
        program[data.draw(st.integers(0, len(program) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ArchiveError):
        read(with_pickle(bytes(program)))
