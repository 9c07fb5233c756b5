"""Prints the short tables of a results file.

    python benchmarks/gpu/table.py results.jsonl

Where a measurement was made several times, the last one counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
OURS = "nmt_trt"


def read_results(path: Path) -> list[Result]:
    """The results of a file, in order; a line that was cut off is left out."""
    results = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            result = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(result, dict) and "stage" in result and "kind" in result:
            results.append(result)
    return results


def tables(results: Sequence[Result]) -> str:
    """All tables that there are results for."""
    parts = [make(results) for make in (_machine, _stages, _tests, _exactness, _steps, _experiment, _errors)]
    return "\n\n".join(part for part in parts if part)


def _machine(results: Sequence[Result]) -> str:
    found = _latest(results, "environment", lambda result: "")
    if not found:
        return ""
    last = found[-1]
    gpu = ", ".join(last["gpu"].values()) if last["gpu"] else "none"
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    return f"GPU: {gpu}\nCPU: {last['processor']}, {last['cores']} cores\n{versions}"


def _stages(results: Sequence[Result]) -> str:
    rows = [
        (result["stage"], _status(result["status"]), _number(result.get("seconds"), ".0f"))
        for result in _latest(results, "stage", lambda result: result["stage"])
    ]
    return _table(("stage", "outcome", "seconds"), rows)


def _status(status: int) -> str:
    return {0: "done", 124: "out of time", 137: "out of time"}.get(status, f"failed ({status})")


def _tests(results: Sequence[Result]) -> str:
    rows = [
        (result["suite"], result["passed"], result["failed"], result["skipped"])
        for result in _latest(results, "tests", lambda result: result["suite"])
    ]
    checks = [(r["suite"], r["errors"]) for r in _latest(results, "check", lambda result: result["suite"])]
    parts = (_table(("tests", "passed", "failed", "skipped"), rows), _table(("check", "errors"), checks))
    return "\n\n".join(part for part in parts if part)


def _exactness(results: Sequence[Result]) -> str:
    rows: list[Sequence[Any]] = [
        ("CPU, fp32", "", "", "", _number(result.get("bleu"), ".2f"), _number(result["seconds"], ".1f"))
        for result in _latest(results, "reference", lambda result: "")
    ]
    kinds = ("precision", "batches")
    keys = ("precision", "deterministic", "seed")
    compared = _latest(results, kinds, lambda result: (result["kind"], *(result.get(key) for key in keys)))
    for result in compared:
        if result["kind"] == "precision":
            name = f"{result['precision']}, against the CPU"
        else:
            mode = "deterministic" if result["deterministic"] else "usual"
            name = f"{result['precision']}, batches of {result['batch_size']}, {mode}"
        differing = result["sentences"] - result["identical"]
        ties = f"{result['near_ties']} of {differing}" if "near_ties" in result else ""
        identical = f"{result['identical']}/{result['sentences']} ({result['share']:.2%})"
        bits = result["score_bits_differ"]
        bleu, seconds = _number(result.get("bleu"), ".2f"), _number(result["seconds"], ".1f")
        rows.append((name, identical, ties, bits, bleu, seconds))
    return _table(("translations", "identical", "near-ties", "other score bits", "BLEU", "seconds"), rows)


def _steps(results: Sequence[Result]) -> str:
    found = _latest(results, "step", lambda result: (result["system"], result["batch"]))
    batches = sorted({result["batch"] for result in found})
    cells = {(result["system"], result["batch"]): result for result in found}
    rows = []
    for system in sorted(dict.fromkeys(result["system"] for result in found), key=lambda name: name != OURS):
        row = [system]
        for batch in batches:
            cell = cells.get((system, batch))
            row.append("-" if cell is None else f"{cell['step_us']:.0f}{_ratio(cell)}")
        rows.append(row)
    return _table(("µs a step (ratio to ours)", *(f"batch {batch}" for batch in batches)), rows)


def _ratio(cell: Result) -> str:
    return "" if cell["ratio"] is None else f" ({cell['ratio']:.2f})"


def _experiment(results: Sequence[Result]) -> str:
    found = _latest(results, "stages", lambda result: (result["system"], result["precision"]))
    ours = next((result for result in found if result["system"] == OURS), None)
    rows = []
    for result in found:
        seconds = [_number(result[stage], ".2f") for stage in ("encoder", "generator", "total")]
        measured = str(result["measured_sentences"])
        if result["measured_sentences"] < result["sentences"]:
            measured += f", scaled to {result['sentences']}"
        ratios = ["", ""]
        if ours is not None:
            ratios = [f"{result[stage] / ours[stage]:.2f}" for stage in ("generator", "total")]
        rows.append((f"{result['system']}, {result['precision']}", measured, *seconds, *ratios))
    headings = ("system", "sentences", "encoder s", "generator s", "total s", "generator/ours", "total/ours")
    return _table(headings, rows)


def _errors(results: Sequence[Result]) -> str:
    """What went wrong in the last run of each stage."""
    begun = {result["stage"]: index for index, result in enumerate(results) if result["kind"] == "environment"}
    last_runs = [result for index, result in enumerate(results) if index > begun.get(result["stage"], -1)]
    rows = []
    for result in _latest(last_runs, "error", lambda result: (result["stage"], result["what"])):
        lines = [line.strip() for line in result["error"].splitlines() if line.strip()]
        rows.append((result["stage"], result["what"], (lines or [""])[-1][:200]))
    failed = [
        (result["stage"], result["suite"], name)
        for result in _latest(last_runs, "tests", lambda result: result["suite"])
        for name in result["failures"]
    ]
    return _table(("error in", "of", "what"), rows + failed)


def _latest(results: Iterable[Result], kinds: str | tuple[str, ...], key: Callable[[Result], Any]) -> list[Result]:
    """The last result of each key, in the order in which the keys first came."""
    wanted = (kinds,) if isinstance(kinds, str) else kinds
    found = {}
    for result in results:
        if result["kind"] in wanted:
            found[key(result)] = result
    return list(found.values())


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A plain table, the first column flush left; nothing without rows."""
    if not rows:
        return ""
    lines = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    text = []
    for line in lines:
        first, *others = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        text.append("  ".join((first, *others)).rstrip())
    text.insert(1, "-" * max(map(len, text)))
    return "\n".join(text)


def main() -> None:
    """Print the tables of a results file."""
    parser = argparse.ArgumentParser(description="Print the tables of a results file of benchmarks/gpu.")
    parser.add_argument("results", type=Path)
    results = read_results(parser.parse_args().results)
    print(tables(results) or "no results")


if __name__ == "__main__":
    main()
