"""The comparison of instruction counts fails for more work, for stale records and for cases that differ."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools import count_instructions
from tools.count_instructions import NOT_RECORDED, differences

FAKE_VALGRIND = """#!/bin/sh
case "$1" in
    --tool=none) printf 'some build\\nsearch\\n' ;;
    *) echo "==1== Collected : 1000" >&2 ;;
esac
"""


@pytest.mark.parametrize(("now", "wrong"), [(1030, False), (1031, True), (900, False), (899, True), (1000, False)])
def test_a_case_may_change_by_so_much(now: int, wrong: bool) -> None:
    assert bool(differences({"search": 1000}, {"search": now})) == wrong


def test_a_difference_tells_both_counts() -> None:
    assert differences({"search": 1_000_000}, {"search": 1_041_000}) == [
        "search: 1,041,000 instructions, 1,000,000 are recorded (+4.1 %)"
    ]


def test_cases_must_be_the_same() -> None:
    assert differences({"old": 5}, {"new": 5}) == ["old: is recorded, and no case", "new: nothing is recorded"]


def test_recording_and_comparing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    valgrind, records = tmp_path / "valgrind", tmp_path / "counts.json"
    valgrind.write_text(FAKE_VALGRIND)
    valgrind.chmod(0o755)
    records.write_text('{"other build": {"search": 7}}')
    monkeypatch.setattr(count_instructions, "RECORDS", records)
    call = ["tools/count_instructions.py", "nmt_trt_searches", "--valgrind", str(valgrind)]

    monkeypatch.setattr(sys, "argv", call)
    assert count_instructions.main() == NOT_RECORDED
    assert f"record with: python {' '.join(call)} --record" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*call, "--record"])
    assert count_instructions.main() == 0
    assert json.loads(records.read_text()) == {"other build": {"search": 7}, "some build": {"search": 1000}}
    monkeypatch.setattr(sys, "argv", call)
    assert count_instructions.main() == 0
    records.write_text('{"some build": {"search": 900}}')
    assert count_instructions.main() == 1
    assert "(+11.1 %)\nIf that is meant, record with: " in capsys.readouterr().out


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit status 3"):
        count_instructions.run("sh", "-c", "exit 3")
    with pytest.raises(RuntimeError, match="counted nothing"):
        count_instructions.count("true", tmp_path, "search")
