"""Text workers of a program of its own: they end with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nmt_trt.demo import demo_directory
from runtime.processes import PATIENCE, alive, until, write_translator

SCRIPT = """
import multiprocessing
import sys
import nmt_trt

def main():
    model = nmt_trt.load(sys.argv[1], backend="onnxruntime", threads=1, text_workers=2)
    print("loaded", flush=True)
    texts = ["one two three"] * 300
    model.translate(texts, max_length=3)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    if sys.argv[2] == "for ever":
        while True:
            model.translate(texts, max_length=3)

"""
TEXT_FILES = "nmt_trt-texts-*"
GUARDED = SCRIPT + 'if __name__ == "__main__":\n    main()\n'


class Script:
    """A program in a process group of its own, as a terminal starts it."""

    def __init__(self, directory: Path, path: Path, text: str, *, for_ever: bool = False) -> None:
        path.write_text(text)
        command = [sys.executable, str(path), str(directory), "for ever" if for_ever else "once"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def interrupt(self) -> None:
        """Ctrl-C: every process of the group gets it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self) -> str:
        """What is left of stderr."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return errors


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_translator(tmp_path_factory.mktemp("models"))


@pytest.fixture
def script(directory: Path, tmp_path: Path) -> Iterator[Callable[..., Script]]:
    started: list[Script] = []

    def start(text: str, model: Path = directory, **options: Any) -> Script:
        started.append(Script(model, tmp_path / "script.py", text, **options))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        with suppress(subprocess.TimeoutExpired):  # as long as a worker lives
            one.process.communicate(timeout=5)


def test_a_script_that_does_not_close_its_model_ends(script: Callable[..., Script]) -> None:
    run = script(GUARDED)
    assert run.line() == "loaded\n"
    workers = [int(pid) for pid in run.line().split()]
    assert len(workers) == 2
    assert run.finish() == "" and run.process.returncode == 0
    assert not any(map(alive, workers))


def test_ctrl_c_leaves_no_process_and_one_traceback(script: Callable[..., Script]) -> None:
    run = script(GUARDED, for_ever=True)
    assert run.line() == "loaded\n"
    workers = [int(pid) for pid in run.line().split()]
    run.interrupt()
    errors = run.finish()
    assert errors.count("Traceback") == 1 and errors.endswith("KeyboardInterrupt\n")
    assert not any(map(alive, workers))


def test_ctrl_c_while_the_processes_start(script: Callable[..., Script]) -> None:
    run = script(GUARDED, for_ever=True)
    assert run.line() == "loaded\n"
    until(lambda: len(run.children()) >= 2)  # multiprocessing's resource tracker and the first worker
    begun = run.children()
    run.interrupt()
    errors = run.finish()
    assert errors.count("Traceback") == 1 and errors.endswith("KeyboardInterrupt\n")
    until(lambda: not any(map(alive, begun)))


def test_workers_do_not_outlive_a_process_that_is_killed(script: Callable[..., Script]) -> None:
    run = script(GUARDED, for_ever=True)
    assert run.line() == "loaded\n"
    workers = [int(pid) for pid in run.line().split()]
    run.process.kill()
    until(lambda: not any(map(alive, workers)))


@pytest.mark.parametrize("model", ["tiny", "bundled"])
def test_a_script_that_does_not_guard_what_it_does(script: Callable[..., Script], directory: Path, model: str) -> None:
    """The bundled model's tokenizers are more than a pipe takes."""
    errors = script(SCRIPT + "main()\n", directory if model == "tiny" else demo_directory()).finish()
    assert "UsageError: a script that loads a model with text_workers must do so under" in errors
    assert errors.rstrip().splitlines()[-1].startswith("nmt_trt.errors.BackendError: a text worker has ended")


REST = """
import atexit, multiprocessing, os, sys, threading
import nmt_trt

def load():
    return nmt_trt.load(sys.argv[1], backend="onnxruntime", threads=1, text_workers=1)

def count(model):
    print(len(model.translate(["one two three"] * 100, max_length=3)), flush=True)

def told(future):
    print(len(future.result()), flush=True)

def end(model):
    model.close()
    os._exit(0)

def in_a_child():
    global kept
    kept = load()
    count(kept)

if __name__ == "__main__":
    """


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("model = load(); atexit.register(count, model)", 1),
        ("model = load(); model.warmup(); atexit.register(count, model)", 1),
        ("model = load(); model.translate_async(['a'] * 100).add_done_callback(told)", 1),
        ("model = load(); threading.Timer(0.5, count, [model]).start()", 1),
        ("child = multiprocessing.get_context('spawn').Process(target=in_a_child); child.start(); child.join()", 1),
        ("child = multiprocessing.get_context('fork').Process(target=in_a_child); child.start(); child.join()", 1),
        (
            "model = load(); count(model); here = os.fork(); count(model); here or end(model); os.wait(); count(model)",
            4,
        ),
    ],
    ids=["at exit", "at exit, started", "asynchronous", "thread", "spawned child", "forked child", "fork"],
)
def test_processes_and_their_ends(script: Callable[..., Script], text: str, lines: int) -> None:
    """A process translates to its end, and ends by itself."""
    run = script(REST + text)
    assert [run.line() for _ in range(lines)] == ["100\n"] * lines
    assert run.finish() == "" and run.process.returncode == 0


def test_no_file_is_left(script: Callable[..., Script], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a process is killed is seen by its workers."""
    (tmp_path / "files").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "files"))
    run = script(GUARDED, for_ever=True)
    assert run.line() == "loaded\n"
    run.line()
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "files").glob(TEXT_FILES)] == [0o600]
    run.process.kill()
    until(lambda: not any((tmp_path / "files").glob(TEXT_FILES)))
    assert script(GUARDED).finish() == ""
    assert not any((tmp_path / "files").glob(TEXT_FILES))
