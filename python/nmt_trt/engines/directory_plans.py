"""Plans inside a model directory, built ahead of time for a kind of GPU.

They lie in engines/<flavour>-<version>-<target>-<precision>/, with a manifest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nmt_trt.atomic_write import replacing_folder
from nmt_trt.engines.builder import build_plan
from nmt_trt.engines.file_hashes import FileHashes
from nmt_trt.engines.flavours import Flavour
from nmt_trt.engines.plan_cache import architecture
from nmt_trt.engines.plan_record import PlanRecord, plan_origin
from nmt_trt.engines.plan_spec import EngineShapes, PlanSpec
from nmt_trt.engines.progress import Progress
from nmt_trt.export.graph import PRECISIONS
from nmt_trt.gpu import Gpu

ENGINES_FOLDER = "engines"
MANIFEST_FILE = "manifest.json"
_ALSO_RUNS = {"sm_90": ("sm_80",)}
"""Architectures whose plans a GPU has been seen to run beside its own."""
_log = logging.getLogger(__name__)
PlanStarted = Callable[[PlanSpec], None]


class Manifest(BaseModel):
    """manifest.json: the plans of one folder, each in a file named after its spec, and the sizes they were made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    shapes: EngineShapes
    plans: tuple[PlanRecord, ...]


def build_directory_plans(
    directory: Path,
    specs: Sequence[PlanSpec],
    flavour: Flavour,
    target: str,
    *,
    workspace_bytes: int | None = None,
    started: PlanStarted | None = None,
    progress: Progress | None = None,
) -> list[PlanRecord]:
    """Build plans for an architecture into a model directory; all of them appear, or none.

    Args:
        directory, flavour, target, workspace_bytes, progress: see build_plan.
        specs: what to build, all of one precision and for the same sizes. They replace those that were there of this
            precision.
        started: is told of each plan before it is built.

    Raises:
        ModelDirectoryError, EngineBuildError, UsageError: see build_plan.
        OSError: the directory cannot be written.
    """
    hashes, records = FileHashes(), []
    with replacing_folder(_folder(directory, flavour.name, flavour.version, target, specs[0].precision)) as folder:
        for spec in specs:
            if started is not None:
                started(spec)
            origin = plan_origin(directory, spec, hashes, flavour=flavour.name, library=flavour.build, target=target)
            built = build_plan(
                directory, spec, flavour=flavour, target=target, workspace_bytes=workspace_bytes, progress=progress
            )
            (folder / _plan_file(spec)).write_bytes(built.plan)
            records.append(PlanRecord.of(origin, built, workspace_bytes))
        manifest = Manifest(shapes=specs[0].shapes, plans=tuple(records)).model_dump_json(indent=2)
        (folder / MANIFEST_FILE).write_text(manifest + "\n", encoding="utf-8")
    return records


class DirectoryPlans:
    """Plans in a model directory that suit a library, a GPU and a precision.

    They are native code: only for trusted directories.

    Attributes:
        target: the architecture that they were built for, or would be.
    """

    def __init__(
        self,
        directory: Path,
        flavour: str,
        version: str,
        gpu: Gpu,
        precision: str,
        *,
        memory_of_hashes: Path | None = None,
    ) -> None:
        """Read what is there; what does not suit is left alone, saying why.

        Args:
            directory: the model directory.
            flavour, version: of the library that is to run the plans: "tensorrt-rtx", "1.4.0".
            gpu: the GPU that is to.
            precision: fp32, fp16 or bf16.
            memory_of_hashes: see FileHashes.
        """
        self._directory = directory
        self._hashes = FileHashes(memory_of_hashes)
        self._flavour = flavour
        self._version = version
        self._precision = precision
        self.target, self._manifest = self._choose(architecture(gpu))

    @property
    def shapes(self) -> EngineShapes | None:
        """What the plans accept; None without plans."""
        return self._manifest.shapes if self._manifest is not None else None

    def get(self, spec: PlanSpec) -> bytes | None:
        """A plan, or None where there is none that was made from this directory's graph and weights."""
        if self._manifest is None:
            return None
        wanted = (spec.graph, spec.precision, spec.dimensions)
        for record in self._manifest.plans:
            made = record.origin
            if (made.graph, made.precision, made.dimensions) == wanted:
                return self._read(spec, record)
        return None

    def _choose(self, wanted: str) -> tuple[str, Manifest | None]:
        targets = (wanted, *_ALSO_RUNS.get(wanted, ()))
        for target in targets:
            folder = self._folder(target, self._precision)
            if folder.is_dir():
                return target, read_manifest(folder)
        self._tell_what_there_is(targets)
        return wanted, None

    def _tell_what_there_is(self, targets: Sequence[str]) -> None:
        missing = (
            f"{self._directory}: no {self._precision} engines for {self._flavour} {self._version} and {targets[0]}"
        )
        for target in targets:
            others = [name for name in PRECISIONS if self._folder(target, name).is_dir()]
            if others:
                command = engines_command(self._directory, target, self._precision)
                _log.warning(
                    "%s, only %s; make them with: %s, or load the model with precision='%s' (--precision %s)",
                    missing,
                    ", ".join(others),
                    command,
                    others[-1],
                    others[-1],
                )
                return
        strangers = sorted(path.name for path in (self._directory / ENGINES_FOLDER).glob("*/"))
        if strangers:
            _log.warning("%s; ignored: %s", missing, ", ".join(strangers))

    def _folder(self, target: str, precision: str) -> Path:
        return _folder(self._directory, self._flavour, self._version, target, precision)

    def _read(self, spec: PlanSpec, record: PlanRecord) -> bytes | None:
        made = record.origin
        path = self._folder(self.target, self._precision) / _plan_file(spec)
        here = plan_origin(
            self._directory,
            spec,
            self._hashes,
            flavour=self._flavour,
            library=made.library,
            target=made.target,
        )
        if here != made:
            _log.warning("%s: ignored, it was made from another graph or other weights", path)
            return None
        try:
            plan = path.read_bytes()
        except OSError as error:
            _log.warning("%s: ignored, it cannot be read: %s", path, error.strerror)
            return None
        if not record.fits(plan):
            _log.warning("%s: ignored, it is damaged", path)
            return None
        return plan


def engines_command(directory: Path, target: str, precision: str) -> str:
    """The command that builds these engines into a model directory."""
    return f"nmt-trt build {directory} --target {target} --precision {precision}"


def _folder(directory: Path, flavour: str, version: str, target: str, precision: str) -> Path:
    return directory / ENGINES_FOLDER / f"{flavour}-{version}-{target}-{precision}"


def _plan_file(spec: PlanSpec) -> str:
    return f"{spec.key()}.plan"


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder of engines; None, with a warning, where it cannot be read."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        _log.warning("%s: ignored, its manifest cannot be read: %s", folder, error)
        return None
