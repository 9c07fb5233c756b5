"""The command line as a process of its own: signals, pipes, terminals, memory."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "nmt_trt"]
LINE = b"The old harbour wakes before the sun does.\n"
LONG = bool(os.environ.get("NMT_TRT_TEST_ALL"))


@contextmanager
def started(*arguments: object, **streams: int) -> Iterator[subprocess.Popen[bytes]]:
    """A running `nmt-trt`; what is not given in `streams` is a pipe."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, **{**pipes, **streams})  # type: ignore[call-overload]
    with process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit code and what is left of stderr."""
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    return process.wait(timeout=60), errors


def test_an_answer_comes_before_the_next_line_is_sent(model_dir: Path) -> None:
    with started("translate", model_dir, "--window", 1, "--max-length", 3) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(3):
            process.stdin.write(LINE)
            process.stdin.flush()
            assert process.stdout.readline().endswith(b"\n")
        process.stdin.close()
        assert process.stdout.read() == b""
        assert finish(process) == (0, "")


def test_interrupted(model_dir: Path) -> None:
    with started("translate", model_dir, "--window", 1, "--max-length", 3) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(LINE)
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
        process.send_signal(signal.SIGINT)
        assert finish(process) == (130, "interrupted\n")


def test_interrupted_while_translating_leaves_no_file(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINE * 100_000)
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--window", 32]
    with started("translate", model_dir, *arguments) as process:
        wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob(".out.*")))
        process.send_signal(signal.SIGINT)
        assert finish(process) == (130, "interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_text_workers_write_the_same(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"".join(b"%d " % number + LINE for number in range(100)) + b"\n" * 2)
    for count in (0, 2):
        arguments = ["--input", tmp_path / "in", "--output", tmp_path / f"out{count}", "--max-length", 3]
        with started("translate", model_dir, *arguments, "--text-workers", count) as process:
            assert finish(process) == (0, "")
    assert (tmp_path / "out2").read_bytes() == (tmp_path / "out0").read_bytes() != b""


def test_text_workers_leave_ctrl_c_to_the_command(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINE * 100_000)
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--window", 64, "--text-workers", 1]
    command = [*COMMAND, "translate", str(model_dir), *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    with process:
        try:
            wait_until(lambda: any(path.stat().st_size for path in tmp_path.glob(".out.*")))
            os.killpg(process.pid, signal.SIGINT)  # every process of the terminal's group gets it
            assert finish(process) == (130, "interrupted\n")
        finally:
            process.kill()


def test_a_reader_that_has_had_enough(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINE * 100_000)
    with started("translate", model_dir, "--input", tmp_path / "in", "--window", 32) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert finish(process) == (141, "")


def test_a_reader_of_a_table_that_has_had_enough() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with started("doctor", stdout=writer) as process:
        os.close(writer)
        assert finish(process) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk(model_dir: Path) -> None:
    with open("/dev/full", "wb") as full, started("inspect", model_dir, stdout=full.fileno()) as process:
        assert finish(process) == (1, "error: No space left on device\n")
    with open("/dev/full", "wb") as full, started("translate", model_dir, stdout=full.fileno()) as process:
        assert process.stdin is not None
        process.stdin.write(LINE)
        process.stdin.close()
        assert finish(process) == (1, "error: No space left on device\n")


def test_closed_standard_streams(model_dir: Path) -> None:
    command = f"exec '{sys.executable}' -m nmt_trt translate '{model_dir}' <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0


def test_progress_only_on_a_terminal(model_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINE * 300)
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", "--max-length", 2, "--window", 8]
    assert b"sentences" in on_terminal("translate", model_dir, *arguments, stream="stderr")
    assert on_terminal("translate", model_dir, *arguments, "--quiet", stream="stderr") == b""


def test_a_terminal_is_answered_line_by_line(model_dir: Path) -> None:
    master, slave = pty.openpty()
    try:
        with started("translate", model_dir, "--max-length", 2, stdin=slave) as process:
            assert process.stdout is not None
            for _ in range(2):
                os.write(master, LINE)
                assert process.stdout.readline().endswith(b"\n")
            os.write(master, b"\x04")  # Ctrl-D
            assert finish(process) == (0, "")
    finally:
        os.close(master)
        os.close(slave)


def test_memory_does_not_grow_with_the_file(model_dir: Path, tmp_path: Path) -> None:
    """Peak memory for 2 MB of text is that for a few lines and a window."""
    size = 2_000_000 if LONG else 1_000_000
    (tmp_path / "short").write_bytes(LINE * 512)
    (tmp_path / "long").write_bytes(LINE * (size // len(LINE)))
    short, long = (peak_memory(model_dir, tmp_path / name) for name in ("short", "long"))
    assert long - short < 8 << 20


def peak_memory(model_dir: Path, text: Path) -> int:
    """Bytes of resident memory that translating `text` needs at its peak.

    A process inherits the peak of the one that started it, so a small one must start it.
    """
    arguments = [
        "--beam-size",
        "1",
        "--max-length",
        "1",
        "--batch-size",
        "256",
        "--window",
        "512",
        "--threads",
        "1",
    ]
    command = [
        *COMMAND,
        "translate",
        str(model_dir),
        "--input",
        str(text),
        "--output",
        os.devnull,
        *arguments,
    ]
    script = (
        "import json, resource, subprocess, sys; subprocess.run(json.loads(sys.argv[1]), check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script, json.dumps(command)], check=True, capture_output=True)
    return int(done.stdout) * 1024


def on_terminal(*arguments: object, stream: str) -> bytes:
    """What a run that succeeds writes to a terminal that is its `stream`."""
    master, slave = pty.openpty()
    written = b""
    try:
        with started(*arguments, **{stream: slave}) as process:
            os.set_blocking(master, False)
            while process.poll() is None or written == b"":
                try:
                    written += os.read(master, 4096)
                except BlockingIOError:
                    if process.poll() is not None:
                        break
                    time.sleep(0.01)
            assert process.wait(timeout=60) == 0
    finally:
        os.close(slave)
        os.close(master)
    return written


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_json_has_no_infinity(model_dir: Path) -> None:
    """Options that leave no token: a translation of no probability."""
    options = ["--json", "--token-scores", "--allowed-tokens", "5", "--no-repeat-ngram", 1, "--min-length", 4]
    with started("generate", model_dir, *options) as process:
        written, _ = process.communicate(b"[2, 5, 3]\n", timeout=60)

    def refuse(name: str) -> float:
        raise ValueError(name)

    (hypothesis,) = json.loads(written, parse_constant=refuse)["hypotheses"]
    assert (hypothesis["score"], hypothesis["log_prob"]) == (None, None)
