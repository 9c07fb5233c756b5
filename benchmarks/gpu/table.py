"""Prints the short tables of a results file.

    python benchmarks/gpu/table.py results.jsonl

Where a measurement was made several times, the last one counts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    makers = (_machine, _stages, _tests, _exactness, _steps, _experiment, _translations, _latency, _scaling)
    parts = [make(results) for make in (*makers, profile_table, _errors)]
    return "\n\n".join(part for part in parts if part)


def _machine(results: Sequence[Result]) -> str:
    found = latest(results, "environment", lambda result: "")
    if not found:
        return ""
    last = found[-1]
    gpu = ", ".join(last["gpu"].values()) if last["gpu"] else "none"
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    return f"GPU: {gpu}\nCPU: {last['processor']}, {last['cores']} cores\n{versions}"


def _stages(results: Sequence[Result]) -> str:
    rows = [
        (result["stage"], _status(result["status"]), _number(result.get("seconds"), ".0f"))
        for result in latest(results, "stage", lambda result: result["stage"])
    ]
    return _table(("stage", "outcome", "seconds"), rows)


def _status(status: int) -> str:
    return {0: "done", 124: "out of time", 137: "out of time"}.get(status, f"failed ({status})")


def _tests(results: Sequence[Result]) -> str:
    rows = [
        (result["suite"], result["passed"], result["failed"], result["skipped"])
        for result in latest(results, "tests", lambda result: result["suite"])
    ]
    checks = [(r["suite"], r["errors"]) for r in latest(results, "check", lambda result: result["suite"])]
    parts = (_table(("tests", "passed", "failed", "skipped"), rows), _table(("check", "errors"), checks))
    return "\n\n".join(part for part in parts if part)


def _exactness(results: Sequence[Result]) -> str:
    rows: list[Sequence[Any]] = [
        ("CPU, fp32", "", "", "", _number(result.get("bleu"), ".2f"), _number(result["seconds"], ".1f"))
        for result in latest(results, "reference", lambda result: "")
    ]
    kinds = ("precision", "batches")
    keys = ("precision", "deterministic", "seed")
    compared = latest(results, kinds, lambda result: (result["kind"], *(result.get(key) for key in keys)))
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
    found = latest(results, "step", lambda result: (result["system"], result["batch"]))
    return _by_batch("µs a step (ratio to ours)", found, lambda cell: f"{cell['step_us']:.0f}{_ratio(cell)}")


def _by_batch(heading: str, found: Sequence[Result], text: Callable[[Result], str]) -> str:
    """A table of systems by batch size."""
    batches = sorted({result["batch"] for result in found})
    cells = {(result["system"], result["batch"]): text(result) for result in found}
    systems = sorted(dict.fromkeys(result["system"] for result in found), key=lambda name: name != OURS)
    rows = [(system, *(cells.get((system, batch), "-") for batch in batches)) for system in systems]
    return _table((heading, *(f"batch {batch}" for batch in batches)), rows)


def _ratio(cell: Result) -> str:
    return "" if cell["ratio"] is None else f" ({cell['ratio']:.2f})"


def _experiment(results: Sequence[Result]) -> str:
    found = latest(results, "stages", lambda result: (result["system"], result["precision"]))
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


def best_translations(results: Sequence[Result]) -> list[Result]:
    """Each system's translation of the last run's text at the batch size that suits it best, ours first."""
    best: dict[str, Result] = {}
    for result in _all_translations(results):
        known = best.setdefault(result["system"], result)
        if result["seconds"] < known["seconds"]:
            best[result["system"]] = result
    return sorted(best.values(), key=lambda result: result["system"] != OURS)


def _translations(results: Sequence[Result]) -> str:
    """The best batch size of each system, and the seconds at all of them."""
    best = best_translations(results)
    ours = next((result["seconds"] for result in best if result["system"] == OURS), None)
    rows = [
        (
            result["system"],
            result["batch"],
            f"{result['seconds']:.3f}",
            f"{result['fastest']:.3f}-{result['slowest']:.3f}",
            f"{result['sentences_per_second']:.0f}",
            f"{result['tokens_per_second']:.0f}",
            "" if ours is None else f"{result['seconds'] / ours:.2f}",
            _number(result["same"], ".1%"),
            _number(result["bleu"], ".2f"),
        )
        for result in best
    ]
    headings = ("text to text", "batch", "seconds", "from-to", "sent./s", "tokens/s", "ratio", "same", "BLEU")
    return "\n\n".join(part for part in (_table(headings, rows), _seconds_by_batch(results)) if part)


def _all_translations(results: Sequence[Result]) -> list[Result]:
    return latest(last_runs(results), "translation", lambda result: (result["system"], result["batch"]))


def _seconds_by_batch(results: Sequence[Result]) -> str:
    found = _all_translations(results)
    return _by_batch("seconds (ratio to ours)", found, lambda cell: f"{cell['seconds']:.3f}{_ratio(cell)}")


def _latency(results: Sequence[Result]) -> str:
    rows = [
        (
            f"{result['system']}, {result['source_tokens']} tokens",
            result["calls"],
            f"{result['median_ms']:.2f}",
            f"{result['p90_ms']:.2f}",
            _number(result["ratio"], ".2f"),
        )
        for result in latest(last_runs(results), "latency", lambda result: result["system"])
    ]
    return _table(("one sentence", "calls", "median ms", "p90 ms", "ratio"), rows)


def _scaling(results: Sequence[Result]) -> str:
    """A table of each axis: the points that differ from the base in nothing else."""
    base = next((result["settings"]["base"] for result in reversed(results) if _is_scaling(result)), None)
    if base is None:
        return ""
    parts = []
    for axis in base:
        found = points_along(results, axis, base)
        cells = {(result["system"], result[axis]): result for result in found}
        systems = list(dict.fromkeys(result["system"] for result in found))
        rows = [
            (value, *(_point(cells.get((system, value))) for system in systems))
            for value in sorted({result[axis] for result in found})
        ]
        parts.append(_table((axis, *(f"{system}, µs a step; a batch" for system in systems)), rows))
    return "\n\n".join(part for part in parts if part)


def _is_scaling(result: Result) -> bool:
    return result["stage"] == "scaling" and "base" in result.get("settings", {})


def points_along(results: Sequence[Result], axis: str, base: Mapping[str, int]) -> list[Result]:
    """The last measurements of the stage `scaling` that have the base's numbers but for `axis`, in its order."""
    points = latest(results, "point", lambda result: (result["system"], *(result[name] for name in base)))
    found = [point for point in points if all(point[name] == base[name] for name in base if name != axis)]
    return sorted(found, key=lambda point: (point["system"] != OURS, point["system"], point[axis]))


def _point(point: Result | None) -> str:
    if point is None:
        return "-"
    whole = f", {point['whole_us'] / 1e3:.2f} ms" if "whole_us" in point else ""
    return f"{point['step_us']:.0f}{_ratio(point)}{whole}"


def profile_table(results: Sequence[Result]) -> str:
    """µs of a step by what kernels do, for each batch size, with the kernels a step."""
    runs = last_runs(results)
    profiles = {result["batch"]: result for result in latest(runs, "profile", lambda result: result["batch"])}
    kernels = [result for result in runs if result["kind"] == "kernel"]
    families: dict[str, dict[int, tuple[float, float]]] = {}
    for kernel in kernels:
        cells = families.setdefault(kernel["family"], {})
        us, count = cells.get(kernel["batch"], (0.0, 0.0))
        cells[kernel["batch"]] = (us + kernel["us"], count + kernel["count"])
    largest_first = sorted(families.items(), key=lambda item: -max(us for us, _ in item[1].values()))
    rows = [
        (name, *(_kernels(*cells[batch], profiles[batch]["step_us"]) if batch in cells else "-" for batch in profiles))
        for name, cells in largest_first
    ]
    for name, key in (("gaps", "gaps_us"), ("a step", "step_us"), ("without the profiler", "unprofiled_us")):
        rows.append((name, *(f"{profile[key]:.1f}" for profile in profiles.values())))
    headings = ("µs a step (kernels; share)", *(f"batch {batch}" for batch in profiles))
    return _table(headings, rows) if profiles else ""


def _kernels(us: float, count: float, step_us: float) -> str:
    return f"{us:.1f} ({count:.1f}; {us / step_us:.0%})"


def _errors(results: Sequence[Result]) -> str:
    """What went wrong in the last run of each stage."""
    rows = []
    for result in latest(last_runs(results), "error", lambda result: (result["stage"], result["what"])):
        lines = [line.strip() for line in result["error"].splitlines() if line.strip()]
        rows.append((result["stage"], result["what"], (lines or [""])[-1][:200]))
    failed = [
        (result["stage"], result["suite"], name)
        for result in latest(last_runs(results), "tests", lambda result: result["suite"])
        for name in result["failures"]
    ]
    return _table(("error in", "of", "what"), rows + failed)


def last_runs(results: Sequence[Result]) -> list[Result]:
    """What the last run of each stage gave."""
    begun = {result["stage"]: index for index, result in enumerate(results) if result["kind"] == "environment"}
    return [result for index, result in enumerate(results) if index > begun.get(result["stage"], -1)]


def latest(results: Iterable[Result], kinds: str | tuple[str, ...], key: Callable[[Result], Any]) -> list[Result]:
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
