"""The exceptions of the package; exceptions thrown by the C++ core arrive as one of these."""

from __future__ import annotations


class Error(Exception):
    """Base of every error that nmt_trt raises on purpose."""


class UsageError(Error, ValueError):
    """An argument or an option that cannot be used; says what was expected and what was given."""


class SourceError(UsageError):
    """One source of a batch, or what was given with it, cannot be used.

    Attributes:
        name: the argument that it is in.
        index: its place in the batch, from 0.
        problem: what is wrong with it.
    """

    def __init__(self, index: int, problem: str, *, name: str = "src_ids") -> None:
        super().__init__(f"{name}[{index}] {problem}")
        self.name = name
        self.index = index
        self.problem = problem


class LineError(Error):
    """One line of an input cannot be used.

    Attributes:
        line: its number, the first being 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


class ArchiveError(Error):
    """A checkpoint archive that is damaged, hostile or not what it claims to be."""


class DownloadError(Error):
    """A checkpoint that was asked for by name and cannot be downloaded."""


class UnsupportedModelError(Error):
    """A checkpoint whose options are not supported; names all of them at once."""


class ModelDirectoryError(Error):
    """A model directory that is missing, incomplete or inconsistent."""


class MissingDependencyError(Error, ImportError):
    """An optional package is needed; names the extra that installs it."""


class BackendError(Error):
    """A backend that cannot be used, or that failed while running."""


class EngineError(BackendError):
    """TensorRT cannot be opened or used: a missing or unsuitable library, a plan that it refuses, a failed run."""


class EngineBuildError(BackendError):
    """A plan that cannot be built; names what TensorRT objected to."""


class CudaError(BackendError):
    """A CUDA call that failed; the message has the call, its place and CUDA's own text."""


class OutOfMemoryError(BackendError):
    """GPU memory that cannot be had; the message has the bytes and what to lower."""
