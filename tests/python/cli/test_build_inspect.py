"""`nmt-trt build`, `nmt-trt inspect` and `nmt-trt evaluate` on tiny real models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sacrebleu

from cli.conftest import Run
from cli.fake_model import TEXT, FakeModel
from importing.nemo_archives import write_random_nemo
from nmt_trt.engines.builder import BuiltPlan
from nmt_trt.engines.directory_plans import Manifest
from nmt_trt.engines.plan_record import PlanOrigin, PlanRecord
from nmt_trt.engines.plan_spec import EngineShapes, Range
from nmt_trt.engines.stored_sizes import write_engine_sizes
from nmt_trt.inspection import count_parameters, inspect_path
from nmt_trt.model_directory import read_weights
from nmt_trt.models.config import GenerationDefaults, HfDefaults
from random_models import write_random_model


def test_build_tells_what_it_made(run: Run, archive: Path, tmp_path: Path) -> None:
    result = run("build", archive, tmp_path / "model")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines() if "  " in line)
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["encoder"].startswith("2 layers, hidden 16, inner 32, 2 heads")
    assert facts["languages"] == "en -> de"
    assert facts["tokenizer"] == "yttm"
    assert "bytes in 15 files" in facts["size"]
    assert facts["time"].endswith(" s")
    assert run("translate", tmp_path / "model", "--max-length", 2, stdin=b"The harbour.\n").exit_code == 0


def test_build_does_not_replace_a_model_unless_told_to(run: Run, archive: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert run("build", archive, model, "--quiet").stdout == ""
    before = (model / "config.json").stat().st_mtime_ns
    result = run("build", archive, model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--force" in result.stderr
    assert (model / "config.json").stat().st_mtime_ns == before
    assert run("build", archive, model, "--force").exit_code == 0


def test_build_fp16_writes_both(run: Run, archive: Path, tmp_path: Path) -> None:
    assert run("build", archive, tmp_path / "model", "--precision", "fp16").exit_code == 0
    assert {"decoder.onnx", "decoder.fp16.onnx"} <= {path.name for path in (tmp_path / "model").iterdir()}


@pytest.mark.parametrize(
    ("content", "arguments", "code"),
    [(b"no archive", [], 1), (None, [], 1), (b"", ["--precision", "int3"], 2)],
)
def test_build_errors(run: Run, tmp_path: Path, content: bytes | None, arguments: list[str], code: int) -> None:
    archive = tmp_path / "model.nemo"
    if content is not None:
        archive.write_bytes(content)
    result = run("build", archive, tmp_path / "model", *arguments)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_a_path_that_is_not_there_is_said(run: Run, tmp_path: Path, model_dir: Path) -> None:
    result = run("build", tmp_path / "typo")
    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path / 'typo'}: no such file or directory\n")
    (tmp_path / "text").write_text("It rains.")
    result = run("inspect", tmp_path / "text")
    assert result.exit_code == 1
    result = run("translate", tmp_path / "text")
    assert f"{tmp_path / 'text'}: a file, not a model directory;" in result.stderr
    (model_dir / "engine_sizes.json").write_text("{}}")
    result = run("inspect", model_dir)
    (model_dir / "engine_sizes.json").unlink()
    assert result.stderr.startswith(f"error: {model_dir / 'engine_sizes.json'}: Invalid JSON")
    assert "http" not in result.stderr


def test_an_unsupported_model_is_one_line(run: Run, tmp_path: Path) -> None:
    archive = write_random_nemo(tmp_path / "model.nemo", seed=1, hidden_act="tanh", extra={"head.num_layers": 5})
    result = run("inspect", archive.path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_inspect_an_archive_and_its_model(run: Run, archive: Path, model_dir: Path) -> None:
    from_archive, from_directory = run("inspect", archive), run("inspect", model_dir)
    assert (from_archive.exit_code, from_directory.exit_code) == (0, 0)
    assert "kind             NeMo archive" in from_archive.stdout
    assert "model_weights.ckpt" in from_archive.stdout
    assert "kind             model directory" in from_directory.stdout
    assert "weights.safetensors" in from_directory.stdout
    for line in from_archive.stdout.splitlines():
        if line.startswith(("encoder", "decoder", "vocabulary", "parameters", "source tokens", "languages")):
            assert line in from_directory.stdout


def test_inspect_json(run: Run, model_dir: Path) -> None:
    report = json.loads(run("inspect", model_dir, "--json").stdout)
    assert report["kind"] == "model directory"
    assert report["config"] == json.loads((model_dir / "config.json").read_text("utf-8"))
    assert report["files"] == {path.name: path.stat().st_size for path in model_dir.iterdir()}
    assert report["engines"] == []


def test_inspect_tells_engines_and_the_sizes_of_later_ones(run: Run, tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_random_model(model, 0, generation=GenerationDefaults(beam_size=4))
    assert "engines\n" not in run("inspect", model).stdout
    write_engine_sizes(model, {"source": Range(1, 8, 16)})
    folder = model / "engines" / "tensorrt-rtx-1.4.0-sm_86-fp16"
    folder.mkdir(parents=True)
    made = {"flavour": "tensorrt-rtx", "library": "1.4.0.76", "target": "sm_86", "precision": "fp16"}
    origin = PlanOrigin(**made, graph="decoder_0", dimensions={}, graph_sha256="", weights_sha256={})
    built = BuiltPlan(bytes(700), 0.5, 7, b"")
    plans = (PlanRecord.of(origin, built, None), PlanRecord.of(origin, built, None))
    (folder / "manifest.json").write_text(Manifest(shapes=EngineShapes(), plans=plans).model_dump_json())
    lines = run("inspect", model).stdout.splitlines()
    assert "engine sizes     batch 1:8:64, source 1:8:16, beam 1:4:8" in lines
    assert lines[-2:] == [
        "engines",
        "  tensorrt-rtx-1.4.0-sm_86-fp16  fp16 for sm_86, batch 1:8:64, source 1:64:256, beam 1:4:8, "
        "1,400 bytes in 2 plans",
    ]
    report = json.loads(run("inspect", model, "--json").stdout)
    assert report["engine_sizes"] == {"batch": "1:8:64", "source": "1:8:16", "beam": "1:4:8"}
    shapes = {"batch": "1:8:64", "source": "1:64:256", "beam": "1:4:8"}
    assert report["engines"] == [{"name": folder.name, **made, "shapes": shapes, "plans": 2, "size": 1400}]


def test_inspect_tells_the_defaults_of_policy_hf(run: Run, tmp_path: Path) -> None:
    words = tuple((word, word + 1) for word in range(1, 11))
    hf = HfDefaults(beam_size=6, length_penalty=-0.5, early_stopping=True, bad_words=words, suppress_tokens=(4, 5))
    write_random_model(tmp_path / "model", 0, generation=GenerationDefaults(hf=hf))
    assert (
        "with policy hf   beam size 6, length penalty -0.5, max length 20, early stopping true, "
        "bad words 1 2 / 2 3 / 3 4 / 4 5 / 5 6 / 6 7 / 7 8 / 8 9 / ... (10), suppress tokens 4 5"
    ) in run("inspect", tmp_path / "model").stdout.splitlines()


@pytest.mark.parametrize("seed", range(6))
def test_parameters_are_the_numbers_in_the_weights_file(tmp_path: Path, seed: int) -> None:
    config = write_random_model(tmp_path / "model", seed)
    fixed = {
        f"{side}.embedding.position.weight"
        for side in ("encoder", "decoder")
        if not getattr(config, side).learned_positions
    }
    weights = read_weights(tmp_path / "model")
    assert count_parameters(config) == sum(array.size for name, array in weights.items() if name not in fixed)


def test_inspect_a_model_without_tokenizer(run: Run, tmp_path: Path) -> None:
    write_random_model(tmp_path / "model", 0)
    assert "generates from ids only" in run("inspect", tmp_path / "model").stdout


def test_inspect_nothing(run: Run, tmp_path: Path) -> None:
    result = run("inspect", tmp_path / "missing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no such file or directory" in result.stderr
    assert "not a complete model directory" in run("inspect", tmp_path).stderr


def test_notes_of_the_importer_are_shown(run: Run, tmp_path: Path) -> None:
    archive = write_random_nemo(tmp_path / "model.nemo", seed=1, tokenizer="none")
    assert inspect_path(archive.path).notes
    assert "note 1" in run("inspect", archive.path).stdout


@pytest.fixture
def test_set(tmp_path: Path) -> tuple[Path, Path]:
    """Three sentences and references of which the fake model gets one exactly."""
    source, reference = tmp_path / "source", tmp_path / "reference"
    source.write_text("a small boat in the harbour\nis it late?\n\n", "utf-8")
    reference.write_text("A SMALL BOAT IN THE HARBOUR\nno, not yet\nnothing\n", "utf-8")
    return source, reference


def test_evaluate(run: Run, fake: FakeModel, test_set: tuple[Path, Path], tmp_path: Path) -> None:
    source, reference = test_set
    output = tmp_path / "output"
    result = run("evaluate", "--source", source, "--reference", reference, "--output", output)
    assert (result.exit_code, result.stderr) == (0, "")
    translations = output.read_text("utf-8").split("\n")[:-1]
    references = reference.read_text("utf-8").split("\n")[:-1]
    assert translations == [line.upper() for line in source.read_text("utf-8").split("\n")[:-1]]
    bleu = sacrebleu.corpus_bleu(translations, [references]).score
    chrf = sacrebleu.corpus_chrf(translations, [references]).score
    assert f"BLEU {bleu:.2f}  nrefs:1|case:mixed|eff:no|tok:13a|" in result.stdout
    assert f"chrF {chrf:.2f}  nrefs:1|" in result.stdout
    assert "fake backend" in result.stdout
    report = json.loads(run("evaluate", "--source", source, "--reference", reference, "--json").stdout)
    assert report["bleu"]["score"] == pytest.approx(bleu)
    assert report["chrf"]["score"] == pytest.approx(chrf)
    assert report["sentences"] == 3
    assert report["stages"] == {"preprocess": 1, "encoder": 2, "generator": 3, "postprocess": 4}


def test_evaluate_tokenizes_for_the_target_language(
    run: Run, monkeypatch: pytest.MonkeyPatch, test_set: tuple[Path, Path]
) -> None:
    model = FakeModel(text=TEXT.model_copy(update={"target_language": "zh"}))
    monkeypatch.setattr("nmt_trt.cli.session.load", lambda *_, **__: model)
    assert "|tok:zh|" in run("evaluate", "--source", test_set[0], "--reference", test_set[1]).stdout


@pytest.mark.parametrize(
    ("source", "reference", "message"),
    [
        (b"a\nb\n", b"a\n", "must have the same number of lines; {s} has 2, {r} has 1"),
        (b"", b"", "{s} has no lines"),
        (b"a\n", b"\xff\n", "{r}, line 1: not UTF-8"),
        (None, b"a\n", "{s}: No such file"),
    ],
)
def test_evaluate_errors(
    run: Run, fake: FakeModel, tmp_path: Path, source: bytes | None, reference: bytes, message: str
) -> None:
    paths = {"s": tmp_path / "source", "r": tmp_path / "reference"}
    if source is not None:
        paths["s"].write_bytes(source)
    paths["r"].write_bytes(reference)
    result = run("evaluate", "--source", paths["s"], "--reference", paths["r"])
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("error: ")
    assert message.format(**paths) in result.stderr
    assert fake.asked == []
