"""The user's own cache of plans: built when they are first asked for, kept for every later process."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from nmt_trt.atomic_write import write_atomically
from nmt_trt.cache import cache_folder
from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.file_hashes import FileHashes
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_record import PlanOrigin, PlanRecord, plan_origin
from nmt_trt.engines.plan_spec import PlanSpec
from nmt_trt.engines.progress import Progress
from nmt_trt.errors import EngineError
from nmt_trt.gpu import Gpu

_log = logging.getLogger(__name__)


class PlanCache:
    """Plans of one model directory's graphs for one GPU.

    A plan is native code: the folder belongs to the user alone. Its file is named after a hash of everything that it
    depends on, so a plan never serves another graph, library, GPU or shape than it was built for.
    """

    def __init__(
        self,
        directory: Path,
        flavour: Flavour,
        gpu: Gpu,
        *,
        workspace_bytes: int | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Nothing is built yet.

        Args:
            directory: the model directory.
            flavour: what builds plans.
            gpu: what they are for: this machine's.
            workspace_bytes: see build_plan. A plan that was built under another limit is built anew; None takes any.
            folder: where plans are kept; the user's cache folder by default.
            progress: is told how far a build is.

        Raises:
            EngineError: the folder cannot be made, or others could have written into it.
        """
        self.folder = open_plan_folder(folder)
        self._directory = directory
        self._flavour = flavour
        self._gpu = gpu
        self._workspace_bytes = workspace_bytes
        self._progress = progress
        self._hashes = FileHashes(self.folder / "file-hashes.json")

    @property
    def runtime_cache_path(self) -> Path:
        """Where kernels that the library compiles just in time are kept for this version and GPU."""
        return self.folder / f"{self._machine_name()}.runtime-cache"

    def get(self, spec: PlanSpec) -> bytes:
        """A plan, built now if it is not there or damaged.

        Raises:
            ModelDirectoryError, EngineBuildError: see build_plan.
            EngineError: the folder cannot be written.
        """
        return self.find_or_build(spec)[0]

    def find_or_build(self, spec: PlanSpec) -> tuple[bytes, PlanRecord, bool]:
        """A plan, its record, and whether it was built just now; see `get`."""
        origin = self._origin(spec)
        path = self.folder / f"{spec.key()}-{origin.digest()[:32]}.plan"
        found = self._find(path, origin, logging.DEBUG)
        if found is None:
            with _locked(path.with_suffix(".lock")):  # another process may be building the same plan
                found = self._find(path, origin, logging.WARNING)
                if found is None:
                    return *self._build(path, spec, origin), True
        return *found, False

    def _origin(self, spec: PlanSpec) -> PlanOrigin:
        target = f"{self._gpu.name} {architecture(self._gpu)}"
        return plan_origin(
            self._directory,
            spec,
            self._hashes,
            flavour=self._flavour.name,
            library=self._flavour.build,
            target=target,
        )

    def _find(self, path: Path, origin: PlanOrigin, damage: int) -> tuple[bytes, PlanRecord] | None:
        """A plan that lies at `path` and can be used; one that cannot is told at the level `damage`."""
        try:
            record = PlanRecord.model_validate_json(path.with_suffix(".json").read_bytes())
            plan = path.read_bytes()
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _log.log(damage, "%s: cannot be read, building it again: %s", path, error)
            return None
        if record.origin != origin or not record.fits(plan):
            _log.log(damage, "%s: damaged, building it again", path)
            return None
        if self._workspace_bytes not in (None, record.workspace_bytes):
            _log.info("%s: built under another workspace limit, building it again", path)
            return None
        return plan, record

    def _build(self, path: Path, spec: PlanSpec, origin: PlanOrigin) -> tuple[bytes, PlanRecord]:
        _log.info("building %s with %s", spec.key(), self._flavour.title)
        timings = self.folder / f"{self._machine_name()}.timing-cache"
        built = build_plan(
            self._directory,
            spec,
            flavour=self._flavour,
            workspace_bytes=self._workspace_bytes,
            timing_cache=timings.read_bytes() if timings.is_file() else b"",
            progress=self._progress,
        )
        record = PlanRecord.of(origin, built, self._workspace_bytes)
        try:
            if built.timing_cache:
                write_atomically(timings, built.timing_cache)
            write_atomically(path, built.plan)
            write_atomically(path.with_suffix(".json"), record.model_dump_json(indent=2).encode())
        except OSError as error:
            raise EngineError(f"{path}: the plan cannot be written: {error.strerror}") from error
        return built.plan, record

    def _machine_name(self) -> str:
        gpu = "".join(letter if letter.isalnum() else "-" for letter in self._gpu.name)
        return f"{self._flavour.name}-{self._flavour.build}-{gpu}-{architecture(self._gpu)}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def open_plan_folder(folder: Path | None = None) -> Path:
    """The folder of plans, made if need be: the user's own, in which nobody else can write.

    Raises:
        EngineError: it is not, or it cannot be made; says what mends it.
    """
    folder = folder or cache_folder() / "plans"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise EngineError(
            f"{folder}: the folder of plans cannot be made: {error.strerror}; set NMT_TRT_CACHE to another place"
        ) from error
    if status.st_uid != os.getuid():
        raise EngineError(
            f"{folder}: belongs to another user, and plans are native code; set NMT_TRT_CACHE to a folder of your own"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise EngineError(
            f"{folder}: others can write here, and plans are native code; mend it with: chmod 700 {folder}"
        )
    return folder


def architecture(gpu: Gpu) -> str:
    """A GPU's compute capability as compilers write it: "sm_90"."""
    return f"sm_{gpu.capability[0]}{gpu.capability[1]}"
