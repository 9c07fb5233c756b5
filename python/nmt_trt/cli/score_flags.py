"""Options of the command line for what a translation must, may and may not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from nmt_trt.errors import UsageError
from nmt_trt.options import GenerationOptions

_PANEL = "What a translation may hold"


@dataclass(frozen=True, kw_only=True)
class ScoreFlags:
    """Fields of ScoreOptions, by the same names; lists of token ids are text here."""

    min_length: Annotated[int, typer.Option(help="Fewest tokens before the end token.", rich_help_panel=_PANEL)] = (
        GenerationOptions.min_length
    )
    repetition_penalty: Annotated[
        float,
        typer.Option(help="Above 1: tokens seen before become unlikelier.", rich_help_panel=_PANEL),
    ] = GenerationOptions.repetition_penalty
    no_repeat_ngram: Annotated[
        int,
        typer.Option(help="Length of token sequences that may come once only; 0: none.", rich_help_panel=_PANEL),
    ] = GenerationOptions.no_repeat_ngram
    forced_bos: Annotated[int | None, typer.Option(help="The first token, by its id.", rich_help_panel=_PANEL)] = None
    forced_eos: Annotated[
        int | None,
        typer.Option(help="The last token at the length limit, by its id.", rich_help_panel=_PANEL),
    ] = None
    bad_words: Annotated[
        str | None,
        typer.Option(
            metavar="IDS,IDS,...",
            help='Token sequences that must not come: ids separated by spaces, sequences by commas, as in "5 6, 7".',
            rich_help_panel=_PANEL,
        ),
    ] = None
    suppress_tokens: Annotated[
        str | None,
        typer.Option(metavar="IDS", help="Token ids that must not come, separated by spaces.", rich_help_panel=_PANEL),
    ] = None

    def token_lists(self) -> dict[str, Any]:
        """The options that are lists of token ids, as GenerationOptions takes them.

        Raises:
            UsageError: something in a list is no whole number.
        """
        words = [] if self.bad_words is None else self.bad_words.split(",")
        return {
            "bad_words": [_ids("--bad-words", word) for word in words],
            "suppress_tokens": _ids("--suppress-tokens", self.suppress_tokens or ""),
        }


def _ids(name: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        raise UsageError(f"{name} must hold token ids separated by spaces; given {text!r}") from None
