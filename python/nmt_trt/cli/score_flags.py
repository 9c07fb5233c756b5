"""Options of the command line for what a translation must, may and may not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from nmt_trt.errors import UsageError

_PANEL = "What a translation may hold"
_DEFAULT = "with policy hf the model's, otherwise none"


@dataclass(frozen=True, kw_only=True)
class ScoreFlags:
    """Fields of ScoreOptions, by the same names; lists of token ids are text here."""

    min_length: Annotated[
        int | None,
        typer.Option(help="Fewest tokens before the end token.", show_default=_DEFAULT, rich_help_panel=_PANEL),
    ] = None
    repetition_penalty: Annotated[
        float | None,
        typer.Option(
            help="Above 1: tokens seen before become unlikelier.", show_default=_DEFAULT, rich_help_panel=_PANEL
        ),
    ] = None
    no_repeat_ngram: Annotated[
        int | None,
        typer.Option(
            help="Length of token sequences that may come once only; 0: none.",
            show_default=_DEFAULT,
            rich_help_panel=_PANEL,
        ),
    ] = None
    forced_bos: Annotated[
        int | None,
        typer.Option(help="The first token, by its id; -1: none.", show_default=_DEFAULT, rich_help_panel=_PANEL),
    ] = None
    forced_eos: Annotated[
        int | None,
        typer.Option(
            help="The last token at the length limit, by its id; -1: none.",
            show_default=_DEFAULT,
            rich_help_panel=_PANEL,
        ),
    ] = None
    bad_words: Annotated[
        str | None,
        typer.Option(
            metavar="IDS,IDS,...",
            help='Token sequences that must not come: ids separated by spaces, sequences by commas, as in "5 6, 7"; '
            '"": none.',
            show_default=_DEFAULT,
            rich_help_panel=_PANEL,
        ),
    ] = None
    suppress_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="IDS",
            help='Token ids that must not come, separated by spaces; "": none.',
            show_default=_DEFAULT,
            rich_help_panel=_PANEL,
        ),
    ] = None
    allowed_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="IDS",
            help='The only token ids, besides the end token, that may come, separated by spaces; "": all.',
            show_default=_DEFAULT,
            rich_help_panel=_PANEL,
        ),
    ] = None

    def token_lists(self) -> dict[str, Any]:
        """The options that are lists of token ids, as GenerationOptions takes them.

        Raises:
            UsageError: something in a list is no whole number.
        """
        words, banned, allowed = self.bad_words, self.suppress_tokens, self.allowed_tokens
        return {
            "bad_words": None if words is None else _words("--bad-words", words),
            "suppress_tokens": None if banned is None else _ids("--suppress-tokens", banned),
            "allowed_tokens": None if allowed is None else _ids("--allowed-tokens", allowed),
        }


def _words(name: str, text: str) -> list[list[int]]:
    return [_ids(name, word) for word in text.split(",")] if text.strip() else []


def _ids(name: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        raise UsageError(f"{name} must hold token ids separated by spaces; given {text!r}") from None
