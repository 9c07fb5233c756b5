"""`nmt-trt translate` and `nmt-trt generate` with a fake model."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Run
from cli.fake_model import FakeModel


def test_order_empty_lines_and_a_last_line_without_end(run: Run, fake: FakeModel) -> None:
    result = run("translate", stdin=b"one\n\ntwo\r\n  \nthree")
    assert result.exit_code == 0
    assert result.stdout_bytes == b"ONE\n\nTWO\n  \nTHREE\n"
    assert result.stderr == ""


def test_odd_separators_split_nothing(run: Run, fake: FakeModel) -> None:
    text = "a\u2028b\x0bc\x0cd\x85e\n"
    assert run("translate", stdin=text.encode()).stdout_bytes.decode() == text.upper()


def test_a_line_break_that_the_model_made_stays_within_the_line(run: Run, fake: FakeModel) -> None:
    result = run("translate", stdin=b"a\rb\n")  # the fake model keeps what it is given
    assert result.stdout_bytes == b"A B\n"


def test_files(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\n")
    result = run("translate", "--input", tmp_path / "in", "--output", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out").read_bytes() == b"ONE\nTWO\n"


def test_a_file_can_be_translated_onto_itself(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"one\ntwo\n")
    assert run("translate", "-i", tmp_path / "text", "-o", tmp_path / "text", "--window", 1).exit_code == 0
    assert (tmp_path / "text").read_bytes() == b"ONE\nTWO\n"


def test_json(run: Run, fake: FakeModel) -> None:
    result = run("translate", "--json", "--num-hypotheses", 2, stdin="straße\u2028\n\n".encode())
    first, second = [json.loads(line) for line in result.stdout_bytes.decode().rstrip("\n").split("\n")]
    assert first == {
        "source": "straße\u2028",
        "translation": "STRASSE\u2028",
        "hypotheses": [
            {"text": "STRASSE\u2028", "tokens": [0, 7], "score": -0.5, "log_prob": -1.5},
            {"text": "STRASSE\u2028+", "tokens": [1, 7], "score": -0.5, "log_prob": -1.5},
        ],
    }
    assert second["source"] == second["translation"] == ""


def test_every_option_reaches_the_model(run: Run, fake: FakeModel) -> None:
    given = {
        "beam_size": 4,
        "beam_groups": 2,
        "diversity_penalty": 0.5,
        "length_penalty": 0.7,
        "max_length": 20,
        "max_length_factor": 1.5,
        "max_length_delta": 6,
        "num_hypotheses": 2,
        "token_scores": True,
        "attention": True,
        "coverage_penalty": 0.4,
        "replace_unknowns": True,
        "policy": "gnmt",
        "batch_size": 5,
        "batch_type": "sentences",
        "deterministic": True,
        "min_length": 2,
        "repetition_penalty": 1.3,
        "no_repeat_ngram": 3,
        "forced_bos": 7,
        "forced_eos": 3,
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not True]
    arguments += [
        "--replace-unknowns",
        "--deterministic",
        "--token-scores",
        "--attention",
        "--bad-words=5 6, 7",
        "--suppress-tokens=8 9",
        "--allowed-tokens=4 5\n6",
    ]
    assert run("translate", "--json", *arguments, stdin=b"a\n").exit_code == 0
    lists = {"bad_words": [[5, 6], [7]], "suppress_tokens": [8, 9], "allowed_tokens": [4, 5, 6]}
    sampling = {"sampling_temperature": 1.0, "sampling_topk": 0, "sampling_topp": 1.0, "seed": 0}
    assert fake.options == {**given, **lists, **sampling, "early_stopping": None, "patience": 1.0}


def test_options_of_policy_sample_reach_the_model(run: Run, fake: FakeModel) -> None:
    given = {
        "policy": "sample",
        "sampling_temperature": 0.7,
        "sampling_topk": 9,
        "sampling_topp": 0.9,
        "seed": 2**64 - 1,
    }
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert run("translate", *arguments, stdin=b"a\n").exit_code == 0
    assert {name: fake.options[name] for name in given} == given


def test_target_prefixes_come_from_a_file(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"x \n\nz \n")
    assert run("translate", f"--target-prefix={path}", stdin=b"a\nb\nc\n").stdout == "x A\nB\nz C\n"
    result = run("translate", f"--target-prefix={path}", stdin=b"a\nb\n")
    assert result.exit_code == 2 and "the lines have ended" in result.stderr
    path.write_bytes(b"x\n\xff\nz\n")
    result = run("translate", f"--target-prefix={path}", stdin=b"a\nb\nc\n")
    assert result.exit_code == 1 and f"{path}, line 2: not UTF-8" in result.stderr
    result = run("translate", "--document", f"--target-prefix={path}", stdin=b"a\n")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --document contradicts --target-prefix, which is of lines\n",
    )
    assert run("translate", "--target-prefix=/no/such/file", stdin=b"a\n").exit_code == 1


def test_target_prefixes_of_ids_come_from_a_file(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    path.write_bytes(b"9 8\n\n")
    assert run("generate", f"--target-prefix={path}", "--window=1", stdin=b"5 6\n4\n").stdout == "9 8 6 5\n4\n"
    result = run("generate", f"--target-prefix={path}", stdin=b"5\n")
    assert result.exit_code == 2 and "the lines have ended" in result.stderr
    path.write_bytes(b"[9]\n[]\n")
    result = run("generate", "--json", f"--target-prefix={path}", stdin=b"[5, 6]\n[4]\n")
    assert [json.loads(line)["tokens"] for line in result.stdout.splitlines()] == [[9, 6, 5], [4]]
    path.write_bytes(b"9\nx\n")
    result = run("generate", f"--target-prefix={path}", stdin=b"5\n6\n")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {path}, line 2: expected integers separated by spaces; given 'x'\n",
    )


def test_token_scores_need_json(run: Run, fake: FakeModel) -> None:
    result = run("generate", "--token-scores", stdin=b"5 6\n")
    assert (result.exit_code, result.stderr) == (2, "error: --token-scores needs --json, which has room for them\n")
    answer = json.loads(run("generate", "--token-scores", "--json", stdin=b"[5, 6]\n").stdout)
    assert answer["hypotheses"] == [{"tokens": [6, 5], "score": -0.5, "log_prob": -1.5, "token_scores": [-1.0, -0.5]}]


def test_attention_needs_json(run: Run, fake: FakeModel) -> None:
    result = run("translate", "--attention", stdin=b"a\n")
    assert (result.exit_code, result.stderr) == (2, "error: --attention needs --json, which has room for it\n")
    (hypothesis,) = json.loads(run("generate", "--attention", "--json", stdin=b"[5, 6]\n").stdout)["hypotheses"]
    assert (hypothesis["attention"], hypothesis["alignment"]) == ([[0.0, 1.0], [1.0, 0.0]], [1, 0])


@pytest.mark.parametrize(("given", "value"), [("true", True), ("false", False), ("never", "never")])
def test_early_stopping_reaches_the_model(run: Run, fake: FakeModel, given: str, value: object) -> None:
    assert run("translate", "--policy=hf", f"--early-stopping={given}", stdin=b"a\n").exit_code == 0
    assert fake.options["policy"] == "hf"
    assert fake.options["early_stopping"] is value or fake.options["early_stopping"] == value == "never"


def test_runtime_options_reach_the_loader(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def load(_: object, **options: object) -> FakeModel:
        asked.append(options)
        return FakeModel()

    monkeypatch.setattr("nmt_trt.cli.session.load", load)
    arguments = [
        "--backend=tensorrt-rtx",
        "--precision=fp16",
        "--decoder=engines",
        "--trust-engines",
        "--memory-limit=100",
        "--batches-in-flight=2",
        "--text-workers=3",
    ]
    assert run("translate", *arguments, "--threads=2", stdin=b"a\n").exit_code == 0
    assert asked == [
        {
            "ensemble": (),
            "backend": "tensorrt-rtx",
            "precision": "fp16",
            "decoder": "engines",
            "trust_engines": True,
            "memory_limit": 100 << 20,
            "batches_in_flight": 2,
            "threads": 2,
            "source_language": None,
            "target_language": None,
            "text_workers": 3,
        }
    ]
    assert run("translate", stdin=b"a\n").exit_code == 0
    assert asked[-1]["precision"] == asked[-1]["decoder"] == "auto" and asked[-1]["memory_limit"] is None
    assert asked[-1]["text_workers"] == 0 and asked[-1]["batches_in_flight"] == 1
    assert run("translate", "a", "--ensemble", "b", "--ensemble=c", stdin=b"a\n").exit_code == 0
    assert asked[-1]["ensemble"] == [Path("b"), Path("c")]


def test_warnings_are_shown_and_tensorrts_chatter_is_not(
    run: Run, fake: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log() -> None:
        logging.getLogger("nmt_trt.engines.plan_cache").warning("a.plan: damaged, building it again")
        logging.getLogger("nmt_trt.engines.plan_cache").info("building a")
        logging.getLogger("nmt_trt.engines.tensorrt").warning("some remark")

    translate = fake.translate_hypotheses

    def translate_and_log(*arguments: Any, **options: Any) -> Any:
        log()
        return translate(*arguments, **options)

    monkeypatch.setattr(fake, "translate_hypotheses", translate_and_log)
    result = run("translate", stdin=b"a\n")
    assert (result.stdout, result.stderr) == ("A\n", "warning: a.plan: damaged, building it again\n")


def test_timings_go_to_stderr(run: Run, fake: FakeModel) -> None:
    result = run("translate", "--timings", stdin=b"a\nb\n")
    assert result.stdout == "A\nB\n"
    for stage in ("preprocess", "encoder", "generator", "postprocess", "total"):
        assert stage in result.stderr
    assert "2 sentences, 0.2 sentences/s" in result.stderr and "elapsed" not in result.stderr
    result = run("translate", "--timings", "--batches-in-flight=2", stdin=b"a\nb\n")
    assert "elapsed" in result.stderr and "2 sentences, 0.2 sentences/s" not in result.stderr


def test_a_line_that_is_too_long(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    fake.limit = 5
    text = b"one\ntwo\nthree\ntoo long\nfive\n"
    result = run("translate", stdin=text)
    assert result.exit_code == 1
    assert result.stdout_bytes == b"ONE\nTWO\nTHREE\n"
    assert result.stderr == "error: line 4: has 8 tokens; the model's limit is 5\n"
    assert run("translate", "--output", tmp_path / "out", stdin=text).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_invalid_utf8(run: Run, fake: FakeModel) -> None:
    result = run("translate", stdin=b"one\ntwo\nth\xc3ree\n")
    assert result.exit_code == 1
    assert result.stdout_bytes == b"ONE\nTWO\n"
    assert result.stderr == "error: line 3: not UTF-8: byte 3 of the line is 0xc3\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam-size", "0"], "error: beam_size must be from 1 to 32; given 0"),
        (["--num-hypotheses", "2"], "error: --num-hypotheses above 1 needs --json"),
        (
            ["--json", "--num-hypotheses", "9", "--beam-size", "2"],
            "error: num_hypotheses must be at most beam_size 2",
        ),
        (["--deterministic", "--policy", "nemo"], "error: deterministic=True contradicts policy='nemo'"),
        (["--policy", "best"], "Invalid value for '--policy'"),
        (["--early-stopping", "true"], "error: early_stopping is of policy 'hf'; given policy 'gnmt'"),
        (["--suppress-tokens", "3,4"], "error: --suppress-tokens must hold token ids separated by spaces; given '3,4'"),
        (["--bad-words", "3 4, x"], "error: --bad-words must hold token ids separated by spaces; given ' x'"),
        (["--bad-words", "3,"], "error: bad_words[1] must hold one token or more"),
        (["--backend", "magic"], "Invalid value for '--backend'"),
        (["--threads", "0"], "Invalid value for '--threads'"),
        (["--window", "0"], "Invalid value for '--window'"),
        (["--nonsense"], "No such option: --nonsense"),
    ],
)
def test_wrong_usage(run: Run, fake: FakeModel, arguments: list[str], message: str) -> None:
    result = run("translate", *arguments, stdin=b"a\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_files_that_are_not_there(run: Run, fake: FakeModel, tmp_path: Path) -> None:
    result = run("translate", "--input", tmp_path / "missing")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {tmp_path / 'missing'}: No such file or directory\n",
    )
    result = run("translate", "--output", tmp_path / "folder" / "out")
    assert (result.exit_code, result.stderr) == (1, f"error: {tmp_path / 'folder'}: no such folder\n")


def test_generate(run: Run, fake: FakeModel) -> None:
    result = run("generate", stdin=b"2 5 3\n 7   8\t9 \n")
    assert (result.exit_code, result.stdout) == (0, "3 5 2\n9 8 7\n")


def test_generate_json(run: Run, fake: FakeModel) -> None:
    result = run("generate", "--json", "--num-hypotheses", 2, stdin=b"[2, 5]\n")
    assert json.loads(result.stdout) == {
        "source": [2, 5],
        "tokens": [5, 2],
        "hypotheses": [
            {"tokens": [5, 2], "score": -0.5, "log_prob": -1.5},
            {"tokens": [5, 2, 7], "score": -0.5, "log_prob": -1.5},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "line", "message"),
    [
        ([], b"2 x 3", "expected integers separated by spaces; given '2 x 3'"),
        ([], b"", "is empty"),
        ([], b"[1, 2]", "expected integers separated by spaces"),
        (["--json"], b"1 2", "expected a JSON list of integers"),
        (["--json"], b'{"a": 1}', "expected a JSON list of integers"),
        (["--json"], b"[1, 2.0]", "expected a JSON list of integers"),
        (["--json"], b"[1, true]", "expected a JSON list of integers"),
        (["--json"], b"[" * 100_000, "expected a JSON list of integers"),
        (["--json"], b"", "expected a JSON list of integers; given ''"),
    ],
)
def test_generate_names_the_line_that_is_no_ids(
    run: Run, fake: FakeModel, arguments: list[str], line: bytes, message: str
) -> None:
    good = b"[4, 5]" if arguments else b"4 5"
    result = run("generate", *arguments, stdin=good + b"\n" + line + b"\n" + good + b"\n")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1, "what came before was not written"
    assert result.stderr.startswith(f"error: line 2: {message}")
    assert len(result.stderr) < 200
