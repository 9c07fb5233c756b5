"""Reads the pickle of a PyTorch state dict without running it.

A pickle is a program; the usual reader calls whatever it names. Here a closed set of opcodes is interpreted
over plain data, and the few names that torch.save writes for a state dict stand for records, never for
functions. The opcodes are those of pickle protocol 2 (PEP 307), the protocol of torch.save, decoded by the
standard library's pickletools.
"""

from __future__ import annotations

import io
import math
import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from nmt_trt.errors import ArchiveError

STORAGE_DTYPES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
"""torch storage class -> numpy's type without byte order; bf16, which numpy lacks, is named as such."""


_MAX_VIEWS = 16
"""Times that the tensors of a state dict may view a storage, all together; tied weights do so two to five times."""
_T = TypeVar("_T")


class Global(NamedTuple):
    """A name that the pickle refers to."""

    module: str
    name: str


_ORDERED_DICT = Global("collections", "OrderedDict")
_TENSOR = Global("torch._utils", "_rebuild_tensor_v2")
_PARAMETER = Global("torch._utils", "_rebuild_parameter")
_ALLOWED = {_ORDERED_DICT, _TENSOR, _PARAMETER} | {Global("torch", name) for name in STORAGE_DTYPES}


class StorageRecord(NamedTuple):
    """A storage: its dtype (a value of STORAGE_DTYPES), the key of its data, the number of its elements."""

    dtype: str
    key: str
    elements: int


@dataclass(frozen=True)
class TensorRecord:
    """A view of a storage; offset and strides count elements."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """Marks a place on the stack."""


def read_state_pickle(data: bytes) -> dict[str, TensorRecord]:
    """The tensors of a state dict, by name, in their order.

    Raises:
        ArchiveError: a damaged pickle, one that names or does anything that a state dict does not need, or
            one that holds anything but a mapping of names to tensors.
    """
    return checked_state(read_pickle(io.BytesIO(data)))


def read_pickle(program: io.BytesIO) -> object:
    """What one pickle holds: plain data, and records in place of tensors; `program` is then behind it.

    Raises:
        ArchiveError: a damaged pickle, or one that names or does anything that a state dict does not need.
    """
    try:
        return _Machine().run(program)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise ArchiveError(f"damaged pickle ({type(error).__name__}: {error})") from error


def checked_state(value: object) -> dict[str, TensorRecord]:
    """The value as a state dict.

    Raises:
        ArchiveError: it is anything but a mapping of names to tensors.
    """
    if not isinstance(value, dict):
        raise ArchiveError(f"expected a state dict (a mapping of names to tensors); found {_describe(value)}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, TensorRecord):
            raise ArchiveError(
                f"expected a state dict (names to tensors); entry {_short(name)} holds {_describe(tensor)}"
            )
    _check_views(value.values())
    return value


def _check_views(tensors: Iterable[TensorRecord]) -> None:
    """Refuse a small storage that many tensors view, each of which may become a copy."""
    viewed: dict[StorageRecord, int] = {}
    for tensor in tensors:
        viewed[tensor.storage] = viewed.get(tensor.storage, 0) + math.prod(tensor.shape)
    for storage, elements in viewed.items():
        if elements > _MAX_VIEWS * storage.elements:
            raise ArchiveError(f"tensors view storage {_short(storage.key)} more than {_MAX_VIEWS} times")


class _Machine:
    """The stack machine of a pickle, over plain data."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def run(self, program: io.BytesIO) -> object:
        while code := program.read(1):
            opcode = _OPCODES.get(code)
            if opcode is None:
                raise ValueError(f"the byte {code!r} is no opcode")
            if opcode.name not in _KNOWN:
                raise ArchiveError(f"the pickle uses the opcode {opcode.name}, which no state dict needs")
            if opcode.name == "STOP":
                return self.stack.pop()
            if opcode.name == "GLOBAL":  # pickletools would undo escapes, which pickle itself does not
                self.push_global(_line(program), _line(program))
                continue
            argument = None if opcode.arg is None else opcode.arg.reader(program)
            if opcode.name in _PUSH_ARGUMENT:
                self.stack.append(argument)
            elif opcode.name in _HANDLERS:
                _HANDLERS[opcode.name](self, argument)
        raise ValueError("no STOP opcode")

    def pop_to_mark(self) -> list[object]:
        place = len(self.stack) - 1
        while not isinstance(self.stack[place], _Mark):
            place -= 1
            if place < 0:
                raise ValueError("no mark on the stack")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def push_global(self, module: str, attribute: str) -> None:
        name = Global(module, attribute)
        if name not in _ALLOWED:
            raise ArchiveError(f"the pickle refers to {name.module}.{name.name}, which no state dict needs")
        self.stack.append(name)

    def put(self, argument: object) -> None:
        self.memo[_integer(argument)] = self.stack[-1]

    def get(self, argument: object) -> None:
        self.stack.append(self.memo[_integer(argument)])

    def push_tuple(self, count: int | None) -> None:
        items = self.pop_to_mark() if count is None else [self.stack.pop() for _ in range(count)][::-1]
        self.stack.append(tuple(items))

    def append_items(self, items: list[object]) -> None:
        _checked(self.stack[-1], list, "a list to append to").extend(items)

    def set_items(self, items: list[object]) -> None:
        mapping = _checked(self.stack[-1], dict, "a mapping to fill")
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not _is_key(key) or key in mapping:
                raise ValueError(f"the key {_short(key)} is repeated or of the wrong kind")
            mapping[key] = value

    def pop_items(self, count: int) -> list[object]:
        return [self.stack.pop() for _ in range(count)][::-1]

    def persistent_id(self) -> None:
        """('storage', class, key, location, element count) becomes a StorageRecord; the older format ends in None."""
        tag, kind, key, _, elements, *view = _checked(self.stack.pop(), tuple, "a storage's description")
        if view not in ([], [None]):
            raise ValueError("a storage that is a part of another one")
        if tag != "storage" or not isinstance(kind, Global) or kind.name not in STORAGE_DTYPES:
            raise ValueError(f"a storage described as {_short((tag, kind))}")
        key = _checked(key, str, "a storage key")
        self.stack.append(StorageRecord(STORAGE_DTYPES[kind.name], key, _integer(elements)))

    def reduce(self) -> None:
        arguments = _checked(self.stack.pop(), tuple, "a tuple of arguments")
        function = self.stack.pop()
        if function == _ORDERED_DICT and not arguments:
            self.stack.append({})
        elif function == _TENSOR:
            self.stack.append(_tensor(*arguments[:4]))
        elif function == _PARAMETER:
            self.stack.append(_checked(arguments[0], TensorRecord, "a tensor"))
        else:
            raise ValueError(f"a call of {_short(function)} with {len(arguments)} arguments")

    def build(self) -> None:
        """An OrderedDict's attributes (torch's `_metadata`), which say nothing about the weights."""
        self.stack.pop()
        _checked(self.stack[-1], dict, "a mapping with attributes")


def _tensor(storage: object, offset: object, shape: object, strides: object) -> TensorRecord:
    sizes = tuple(_integer(size) for size in _checked(shape, tuple, "a shape"))
    steps = tuple(_integer(step) for step in _checked(strides, tuple, "strides"))
    if len(sizes) != len(steps):
        raise ValueError(f"a tensor of {len(sizes)} sizes and {len(steps)} strides")
    return TensorRecord(_checked(storage, StorageRecord, "a storage"), _integer(offset), sizes, steps)


def _line(program: io.BytesIO) -> str:
    line = program.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a name without an end")
    return line[:-1].decode("utf-8")


def _checked(value: object, kind: type[_T], what: str) -> _T:
    if not isinstance(value, kind):
        raise TypeError(f"expected {what}; found {_describe(value)}")
    return value


def _is_key(value: object) -> bool:
    """Whether it can be one: of tuples only flat ones, for the hash of others may take for ever."""
    parts = value if isinstance(value, tuple) else (value,)
    return all(isinstance(part, (str, int)) for part in parts)


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an integer; found {_describe(value)}")
    return value


def _describe(value: object) -> str:
    names = {TensorRecord: "a tensor", dict: "a mapping", str: "a string", int: "an integer", list: "a list"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, Global)) else _describe(value)
    return text if len(text) <= 80 else text[:77] + "..."


_PUSH_ARGUMENT = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"})
_HANDLERS: dict[str, Callable[[_Machine, object], None]] = {
    "MARK": lambda machine, _: machine.stack.append(_Mark()),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "TUPLE1": lambda machine, _: machine.push_tuple(1),
    "TUPLE2": lambda machine, _: machine.push_tuple(2),
    "TUPLE3": lambda machine, _: machine.push_tuple(3),
    "TUPLE": lambda machine, _: machine.push_tuple(None),
    "APPEND": lambda machine, _: machine.append_items(machine.pop_items(1)),
    "APPENDS": lambda machine, _: machine.append_items(machine.pop_to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.pop_items(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.pop_to_mark()),
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "BINPERSID": lambda machine, _: machine.persistent_id(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}
_KNOWN = {"PROTO", "GLOBAL", "STOP", *_PUSH_ARGUMENT, *_HANDLERS}
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
