"""Options that several commands share, each declared once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from nmt_trt.cli.score_flags import ScoreFlags
from nmt_trt.engines.decoders import DecoderName
from nmt_trt.options import BatchType, EarlyStopping, GenerationOptions, Policy
from nmt_trt.runtime.backend import BackendName
from nmt_trt.runtime.engine_options import MOST_IN_FLIGHT, EngineKeywords, EngineOptions, PrecisionName
from nmt_trt.runtime.stream import DEFAULT_WINDOW

ModelDirectory = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL_DIR",
        help="A directory made by `nmt-trt build`. Without it: the bundled English-German demo model.",
        show_default=False,
    ),
]
_SEARCH = "Search"
_RUNTIME = "Runtime"
TextWorkers = Annotated[
    int,
    typer.Option(
        "--text-workers",
        min=0,
        metavar="N",
        help="Processes that turn text into token ids and back, while others are translated; 0: this one does.",
        rich_help_panel=_RUNTIME,
    ),
]
_EARLY_STOPPING: dict[str | None, EarlyStopping | None] = {None: None, "false": False, "true": True, "never": "never"}


@dataclass(frozen=True, kw_only=True)
class StreamFlags:
    """Where lines come from, where they go, how many are held at a time, and how much is told of each."""

    input_file: Annotated[
        Path | None,
        typer.Option("--input", "-i", metavar="FILE", help="Read this file instead of standard input."),
    ] = None
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write this file instead of standard output. It appears when it is complete, or not at all.",
        ),
    ] = None
    window: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="LINES",
            help="Lines read and worked on together, sorted by length. Bounds the memory; 1 answers each line at once.",
        ),
    ] = DEFAULT_WINDOW
    num_hypotheses: Annotated[
        int,
        typer.Option(help="Hypotheses returned a sentence; more than 1 needs --json.", rich_help_panel=_SEARCH),
    ] = GenerationOptions.num_hypotheses
    token_scores: Annotated[
        bool,
        typer.Option(
            "--token-scores",
            help="Also write the log-probability of each token; needs --json.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.token_scores
    attention: Annotated[
        bool,
        typer.Option(
            "--attention",
            help="Also write what each token attended to in the source, and the alignment by that; needs --json.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.attention
    timings: Annotated[bool, typer.Option("--timings", help="Print the time of each stage to stderr at the end.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class BeamFlags:
    """How to search: fields of GenerationOptions, by the same names."""

    beam_size: Annotated[
        int | None,
        typer.Option(
            help="Hypotheses kept a sentence, 1 (greedy) to 32.",
            show_default="the model's",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    length_penalty: Annotated[
        float | None,
        typer.Option(
            help="Favours longer translations: 0 not at all, more the larger; with policy hf negative for shorter.",
            show_default="the model's",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    max_length: Annotated[
        int | None,
        typer.Option(
            help="Most tokens of a translation, the end token included.",
            show_default="with policy hf the model's, otherwise its limit",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    max_length_factor: Annotated[
        float | None,
        typer.Option(
            help="With --max-length-delta: what the source's number of tokens is multiplied with for that limit.",
            show_default="1",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    max_length_delta: Annotated[
        int | None,
        typer.Option(
            help="Most tokens beyond the source's number of tokens; negative: no such limit.",
            show_default="the model's",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    policy: Annotated[
        Policy,
        typer.Option(
            help="gnmt: a sentence's result never depends on its batch. nemo, hf: the search of NeMo, of Hugging "
            "Face transformers, token for token. sample: drawn at random.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.policy
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="What is searched together, at most, counted as --batch-type says.",
            show_default="32 sentences; on a GPU what the engines take",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    batch_type: Annotated[
        BatchType,
        typer.Option(
            help="Count --batch-size in sentences, or in source tokens with padding.", rich_help_panel=_SEARCH
        ),
    ] = GenerationOptions.batch_type
    deterministic: Annotated[
        bool,
        typer.Option(help="The same score bits whatever else is translated; slower.", rich_help_panel=_SEARCH),
    ] = GenerationOptions.deterministic
    sampling_temperature: Annotated[
        float,
        typer.Option(help="Of policy sample: what scores are divided by.", rich_help_panel=_SEARCH),
    ] = GenerationOptions.sampling_temperature
    sampling_topk: Annotated[
        int,
        typer.Option(
            help="Of policy sample: draw only from so many likeliest tokens; 0: all.", rich_help_panel=_SEARCH
        ),
    ] = GenerationOptions.sampling_topk
    sampling_topp: Annotated[
        float,
        typer.Option(
            help="Of policy sample: draw only from the likeliest tokens, whose probabilities add up to this.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.sampling_topp
    seed: Annotated[
        int,
        typer.Option(help="Of policy sample: other numbers give other draws.", rich_help_panel=_SEARCH),
    ] = GenerationOptions.seed
    early_stopping: Annotated[
        Literal["false", "true", "never"] | None,
        typer.Option(
            help="Of policy hf: end a sentence with its first finished hypotheses, or when no better can be hoped for "
            "by the present length (false) or by any (never).",
            show_default="the model's",
            rich_help_panel=_SEARCH,
        ),
    ] = None
    patience: Annotated[
        float,
        typer.Option(
            help="Of policy hf: end a sentence with so many times --beam-size finished hypotheses.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.patience
    beam_groups: Annotated[
        int,
        typer.Option(
            help="Of policy gnmt: cut the beam into so many groups, which keep away from each other's words.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.beam_groups
    diversity_penalty: Annotated[
        float,
        typer.Option(help="With --beam-groups: how far they keep away.", rich_help_panel=_SEARCH),
    ] = GenerationOptions.diversity_penalty
    coverage_penalty: Annotated[
        float,
        typer.Option(
            help="Rank what was found again, favouring translations that leave out less of the source: 0 not at all.",
            rich_help_panel=_SEARCH,
        ),
    ] = GenerationOptions.coverage_penalty


@dataclass(frozen=True, kw_only=True)
class SearchFlags(ScoreFlags, BeamFlags):
    """How to search, and for what."""

    def keywords(self, **more: Any) -> dict[str, Any]:
        """The options, and `more` of them, as the keyword arguments of Model.generate and Model.translate."""
        early_stopping = _EARLY_STOPPING[self.early_stopping]
        return {**asdict(self), "early_stopping": early_stopping, **self.token_lists(), **more}


@dataclass(frozen=True, kw_only=True)
class RuntimeFlags:
    """What else to run beside MODEL_DIR, where to run, and how much to say."""

    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            "--ensemble",
            metavar="DIR",
            help="Another model of the same vocabularies, whose probabilities are averaged with MODEL_DIR's; "
            "may be given several times.",
            show_default=False,
            rich_help_panel=_RUNTIME,
        ),
    ] = None

    backend: Annotated[
        BackendName,
        typer.Option(help="What runs the model; auto takes the fastest that works here.", rich_help_panel=_RUNTIME),
    ] = "auto"
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="CPU threads.", show_default="one a core", rich_help_panel=_RUNTIME),
    ] = None
    precision: Annotated[
        PrecisionName,
        typer.Option(
            help="Of the arithmetic; auto takes the fastest that MODEL_DIR holds, and fp32 on the CPU.",
            rich_help_panel=_RUNTIME,
        ),
    ] = "auto"
    decoder: Annotated[
        DecoderName,
        typer.Option(
            help="What runs the decoder on a GPU: auto takes the package's own kernels where they take the model.",
            rich_help_panel=_RUNTIME,
        ),
    ] = "auto"
    trust_engines: Annotated[
        bool,
        typer.Option(
            "--trust-engines",
            help="Also take engines that lie in MODEL_DIR. They are native code: only if you trust its origin.",
            rich_help_panel=_RUNTIME,
        ),
    ] = EngineOptions.trust_engines
    memory_limit: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="MIB", help="Most GPU memory to use.", show_default="no limit", rich_help_panel=_RUNTIME
        ),
    ] = None
    batches_in_flight: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_IN_FLIGHT,
            help="Batches searched at once on a GPU, each with a copy of the model in its memory.",
            rich_help_panel=_RUNTIME,
        ),
    ] = EngineOptions.batches_in_flight
    source_language: Annotated[
        str | None,
        typer.Option(
            help="Of a multilingual model, the language to translate from; of any other, whose rules for text to use.",
            show_default="the model's",
            rich_help_panel=_RUNTIME,
        ),
    ] = None
    target_language: Annotated[
        str | None,
        typer.Option(
            help="Of a multilingual model, the language to translate to; of any other, whose rules for text to use.",
            show_default="the model's",
            rich_help_panel=_RUNTIME,
        ),
    ] = None
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="No progress and no notices on stderr.", rich_help_panel=_RUNTIME),
    ] = False

    def engine_keywords(self) -> EngineKeywords:
        """What EngineOptions needs to know."""
        return {
            "precision": self.precision,
            "trust_engines": self.trust_engines,
            "decoder": self.decoder,
            "memory_limit": None if self.memory_limit is None else self.memory_limit << 20,
            "batches_in_flight": self.batches_in_flight,
        }
