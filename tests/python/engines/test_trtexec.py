"""The trtexec command lines."""

from __future__ import annotations

import shlex
from pathlib import Path

import onnx

from nmt_trt.engines.plan_spec import PlanSpec
from nmt_trt.engines.trtexec import trtexec_command


def options(command: str) -> tuple[str, dict[str, str]]:
    """The program and its options, as a shell would give them to it."""
    program, *arguments = shlex.split(command.replace("\\\n", " "))
    return program, {name: value for name, _, value in (argument.partition("=") for argument in arguments)}


def test_a_segment_of_the_encoder_with_tensorrt(directory: Path) -> None:
    spec = PlanSpec("encoder_0", "fp16")
    program, given = options(trtexec_command(directory, spec, "tensorrt", workspace_bytes=512 << 20))
    assert program == "trtexec"
    assert given == {
        "--onnx": str(directory / "encoder_0.fp16.onnx"),
        "--saveEngine": "encoder_0-fp16-t16.512.16384.plan",
        "--minShapes": "token:16,position:16",
        "--optShapes": "token:512,position:512",
        "--maxShapes": "token:16384,position:16384",
        "--stronglyTyped": "",
        "--noTF32": "",
        "--memPoolSize": "workspace:512",
    }


def test_a_segment_with_rtx_names_every_open_input(directory: Path) -> None:
    spec = PlanSpec("decoder_1", "fp32")
    program, given = options(trtexec_command(directory, spec, "tensorrt-rtx"))
    assert program == "tensorrt_rtx"
    assert not {"--stronglyTyped", "--memPoolSize"} & set(given)
    inputs = onnx.load(directory / "decoder_1.onnx", load_external_data=False).graph.input
    hidden = inputs[0].type.tensor_type.shape.dim[1].dim_value
    assert given["--maxShapes"].split(",") == [f"{value.name}:512x{hidden}" for value in inputs]


def test_inputs_of_one_size_are_left_out(directory: Path) -> None:
    """The position of decoder_0 is one number for all rows."""
    _, given = options(trtexec_command(directory, PlanSpec("decoder_0", "fp32"), "tensorrt"))
    assert given["--optShapes"] == "token:32"


def test_paths_with_spaces_survive_a_shell(directory: Path) -> None:
    moved = directory.rename(directory.with_name("my model"))
    _, given = options(trtexec_command(moved, PlanSpec("decoder_0", "fp32"), "tensorrt"))
    assert given["--onnx"] == str(moved / "decoder_0.onnx")
