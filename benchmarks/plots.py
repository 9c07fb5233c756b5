"""Draws the benchmarks' results, one PNG for each kind that there are results of. Needs matplotlib.

    python benchmarks/plots.py RESULTS.jsonl [--cpu REPORT.json] --folder docs/images

RESULTS is the file of benchmarks/gpu/run.sh, REPORT what `benchmarks/cpu.py --json` writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # draws files, without a display

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogFormatter, NullLocator, ScalarFormatter

import gpu_folder  # noqa: F401  (makes the modules below importable)
from devices import speeds_of
from floors import floor_us
from synthetic import Size
from table import OURS, Result, best_translations, last_runs, latest, points_along, read_results

COLORS = {
    OURS: "#0072B2",
    "nmt_trt-engines": "#D55E00",
    "nmt_trt-serial": "#56B4E9",
    "torch-graph": "#56B4E9",
    "torch-eager": "#8C8C8C",
    "PyTorch, NeMo cache": "#8C8C8C",
    "ctranslate2": "#E69F00",
    "ctranslate2-parallel": "#F0E442",
    "CTranslate2": "#E69F00",
    "huggingface": "#CC79A7",
    "Hugging Face": "#CC79A7",
    "nemo": "#009E73",
}
"""By Okabe and Ito, told apart by the colour-blind."""
LABELS = {
    "nmt_trt-engines": "nmt_trt, decoder on engines",
    "nmt_trt-serial": "nmt_trt, nothing in parallel",
    "torch-graph": "PyTorch, CUDA graph",
    "torch-eager": "PyTorch, eager",
    "ctranslate2": "CTranslate2",
    "ctranslate2-parallel": "CTranslate2, replicas",
    "huggingface": "Hugging Face generate()",
    "nemo": "NeMo",
}
AXES = {"batch": "sentences together", "source": "source tokens", "beam": "beam size"}
SHARES = 9
"""Kernel families that are drawn apart, at most."""


@dataclass(frozen=True)
class Series:
    """One system's microseconds a step: by each x the median, the fastest and the slowest."""

    system: str
    points: Mapping[int, tuple[float, float, float]]


@dataclass(frozen=True)
class Bar:
    """One system's time: the median and the ends of its spread."""

    system: str
    middle: float
    low: float
    high: float


def main() -> None:
    """Draw what there are results of."""
    arguments = _parse_arguments()
    results = read_results(arguments.results)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    drawn: dict[str, Figure | None] = {f"step_by_{axis}": draw_steps(results, axis) for axis in AXES}
    drawn |= {"translate": draw_translations(results), "kernels": draw_kernels(results)}
    if arguments.cpu is not None:
        drawn["cpu"] = draw_cpu(json.loads(arguments.cpu.read_text(encoding="utf-8")))
    for name, figure in drawn.items():
        if figure is None:
            print(f"{name}: no results")
            continue
        file = arguments.folder / f"{name}.png"
        figure.savefig(file, dpi=150, metadata={"Software": None})
        plt.close(figure)
        print(file)


def draw_steps(results: Sequence[Result], axis: str) -> Figure | None:
    """The time of a step by batch size, source length or beam, and the floor below it where the GPU is known."""
    series = step_series(results, axis)
    if not series:
        return None
    figure, axes = _figure(1)
    for one in series:
        x = list(one.points)
        middle, low, high = zip(*one.points.values(), strict=True)
        color = COLORS.get(one.system)
        axes[0].fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        axes[0].plot(x, middle, color=color, marker="o", markersize=4, label=LABELS.get(one.system, one.system))
    floor = floor_series(results, axis, sorted({x for one in series for x in one.points}))
    if floor:
        axes[0].plot(
            list(floor),
            list(floor.values()),
            color="black",
            linestyle="--",
            linewidth=1,
            label="floor of memory\nand arithmetic",
        )
    _log_scales(axes[0], sorted({x for one in series for x in one.points}))
    axes[0].set_xlabel(AXES[axis])
    axes[0].set_ylabel("µs a decoder step")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    settings = _step_settings(results)
    fixed = [f"{said}: {settings[name]}" for name, said in AXES.items() if name != axis and name in settings]
    return _described(figure, results, ", ".join(fixed))


def step_series(results: Sequence[Result], axis: str) -> list[Series]:
    """Each system's times along an axis, of the stage `scaling`, and by batch of `steps` where `scaling` has none."""
    base = _scaling_base(results)
    found = points_along(results, axis, base) if base else []
    if axis == "batch":
        known = {result["system"] for result in found}
        steps = latest(results, "step", lambda result: (result["system"], result["batch"]))
        found += [result for result in steps if result["system"] not in known]
    series = []
    for system in sorted(dict.fromkeys(result["system"] for result in found), key=list(COLORS).index):
        points = {
            result[axis]: (result["step_us"], min(result["repeats_us"]), max(result["repeats_us"]))
            for result in found
            if result["system"] == system
        }
        series.append(Series(system, dict(sorted(points.items()))))
    return series


def floor_series(results: Sequence[Result], axis: str, values: Sequence[int]) -> dict[int, float]:
    """The least microseconds of a step of fp16, the mean of a run's steps; nothing where the GPU is not known."""
    settings, environment = _step_settings(results), _environment(results)
    speeds = None if not environment.get("gpu") else speeds_of(environment["gpu"]["name"])
    if speeds is None:
        return {}
    size = Size(**settings["size"])
    shape = {"batch": settings.get("batch", 1), "source": settings["source"], "beam": settings["beam"]}
    return {
        value: mean(
            floor_us(
                size,
                **{**shape, axis: value},
                step=step,
                bandwidth=speeds.bandwidth,
                flops_per_second=speeds.flops_per_second,
            )
            for step in range(settings["steps"])
        )
        for value in values
    }


def draw_translations(results: Sequence[Result]) -> Figure | None:
    """Seconds of the systems for a text, each at its best batch size, and milliseconds for one sentence."""
    best = best_translations(results)
    if not best:
        return None
    latencies = latest(last_runs(results), "latency", lambda result: result["system"])
    figure, axes = _figure(2 if latencies else 1)
    bars = [Bar(result["system"], *(result[name] for name in ("seconds", "fastest", "slowest"))) for result in best]
    _draw_bars(axes[0], bars, lambda bar: f"{bar.middle:.2f} s")
    axes[0].set_xlabel(f"seconds for {best[0]['sentences']} sentences, text to text")
    if latencies:
        bars = [
            Bar(result["system"], result["median_ms"], result["fastest_ms"], result["p90_ms"]) for result in latencies
        ]
        _draw_bars(axes[1], bars, lambda bar: f"{bar.middle:.1f} ms")
        axes[1].set_xlabel(
            f"ms for one sentence of {latencies[0]['source_tokens']} tokens; spread: fastest to 90th percentile"
        )
    return _described(figure, results, f"each at its best batch size, beam {_settings(results, 'translate')['beam']}")


def draw_cpu(report: Mapping[str, Any]) -> Figure:
    """Seconds of the systems of a report of cpu.py."""
    figure, axes = _figure(1)
    bars = [
        Bar(system, *(measured[name] for name in ("seconds", "fastest", "slowest")))
        for system, measured in report["systems"].items()
    ]
    _draw_bars(axes[0], bars, lambda bar: f"{bar.middle:.2f} s")
    axes[0].set_xlabel("seconds")
    return _captioned(figure, "\n".join(report["setting"][name] for name in ("machine", "text", "search")))


def draw_kernels(results: Sequence[Result]) -> Figure | None:
    """The shares of a step's time by what its kernels do, for each batch size."""
    shares = kernel_shares(results)
    if not shares:
        return None
    figure, axes = _figure(1)
    names = list(dict.fromkeys(name for found in shares.values() for name in found))
    labels = [f"batch {batch}" for batch in shares]
    left = [0.0] * len(shares)
    colors = plt.get_cmap("tab20")
    for index, name in enumerate(names):
        widths = [found.get(name, 0.0) for found in shares.values()]
        bars = axes[0].barh(labels, widths, left=left, color=colors(index), label=name, height=0.7)
        texts = [f"{100 * width:.0f}" if width >= 0.03 else "" for width in widths]
        axes[0].bar_label(bars, texts, label_type="center", fontsize=7)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes[0].invert_yaxis()
    axes[0].set_xlim(0, 1)
    axes[0].xaxis.set_major_formatter("{x:.0%}")
    axes[0].set_xlabel("share of a decoder step, under the profiler")
    axes[0].legend(frameon=False, fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return _described(figure, results, "")


def kernel_shares(results: Sequence[Result]) -> dict[int, dict[str, float]]:
    """By batch size, the shares of a step of the largest kernel families, of the others together, and of the gaps."""
    runs = last_runs(results)
    profiles = {result["batch"]: result for result in latest(runs, "profile", lambda result: result["batch"])}
    sums: dict[int, dict[str, float]] = {batch: {} for batch, profile in sorted(profiles.items()) if profile["kernels"]}
    for kernel in (result for result in runs if result["kind"] == "kernel"):
        found, name = sums[kernel["batch"]], kernel["family"]
        found[name] = found.get(name, 0.0) + kernel["us"]
    largest: dict[str, float] = {}
    for found in sums.values():
        for name, us in found.items():
            largest[name] = max(largest.get(name, 0.0), us)
    apart = sorted(largest, key=lambda name: -largest[name])[:SHARES]
    shares = {}
    for batch, found in sums.items():
        parts = {name: found[name] for name in apart if name in found}
        rest = sum(us for name, us in found.items() if name not in apart)
        parts |= ({"rest": rest} if rest else {}) | {"gaps": max(profiles[batch]["gaps_us"], 0.0)}
        total = sum(parts.values())
        shares[batch] = {name: us / total for name, us in parts.items()}
    return shares


def _draw_bars(axes: Axes, bars: Sequence[Bar], text: Callable[[Bar], str]) -> None:
    """Horizontal bars with their spread, and behind each its value and how many times ours it is."""
    ours = next((bar.middle for bar in bars if bar.system == OURS), None)
    names = [LABELS.get(bar.system, bar.system) for bar in bars]
    middles = [bar.middle for bar in bars]
    spread = ([bar.middle - bar.low for bar in bars], [bar.high - bar.middle for bar in bars])
    colors = [COLORS.get(bar.system, "#8C8C8C") for bar in bars]
    axes.barh(names, middles, xerr=spread, color=colors, height=0.6, error_kw={"elinewidth": 1, "capsize": 3})
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(bar.high for bar in bars))
    for index, bar in enumerate(bars):
        ratio = "" if ours is None or bar.system == OURS else f" ({bar.middle / ours:.1f}x)"
        axes.annotate(
            text(bar) + ratio, (bar.high, index), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.grid(axis="y", visible=False)


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(panels, 1, figsize=(8, 3 + panels), layout="constrained", squeeze=False)
    for one in axes[:, 0]:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color="#DDDDDD", linewidth=0.6)
        one.set_axisbelow(True)
    return figure, list(axes[:, 0])


def _log_scales(axes: Axes, values: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 1)))


def _described(figure: Figure, results: Sequence[Result], settings: str) -> Figure:
    """The figure with a line on what the numbers belong to."""
    environment = _environment(results)
    device = environment["gpu"]["name"] if environment.get("gpu") else environment.get("processor", "")
    return _captioned(figure, "; ".join(part for part in (device, settings) if part))


def _captioned(figure: Figure, text: str) -> Figure:
    figure.suptitle(text, fontsize=8, color="#555555", x=0.01, ha="left")
    return figure


def _environment(results: Sequence[Result]) -> Result:
    """The last that is known of the machine."""
    return next((result for result in reversed(results) if result["kind"] == "environment"), {})


def _settings(results: Sequence[Result], stage: str) -> dict[str, Any]:
    """What the last run of a stage was told."""
    for result in reversed(results):
        if result["stage"] == stage and result["kind"] == "environment" and result["settings"]:
            settings: dict[str, Any] = result["settings"]
            return settings
    return {}


def _scaling_base(results: Sequence[Result]) -> dict[str, int]:
    base: dict[str, int] = _settings(results, "scaling").get("base", {})
    return base


def _step_settings(results: Sequence[Result]) -> dict[str, Any]:
    """Size, steps, source and beam, and with `scaling` the batch, of the steps that are drawn."""
    scaling = _settings(results, "scaling")
    return {**scaling, **scaling["base"]} if scaling else _settings(results, "steps")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw the benchmarks' results.")
    parser.add_argument("results", type=Path, help="the results file of benchmarks/gpu/run.sh")
    parser.add_argument("--cpu", type=Path, help="a report of benchmarks/cpu.py")
    parser.add_argument("--folder", type=Path, required=True, help="where the PNGs go; made if it is not there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
