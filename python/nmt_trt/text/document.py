"""A line of a document: sentences to translate, and everything around them, which stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nmt_trt.text.sentences import SentenceSplitter, primary_language

_WITHOUT_SPACES = ("ja", "zh")
"""Languages that put no space between two sentences."""


@dataclass(frozen=True)
class Line:
    """A line cut up into kept[0], sentences[0], kept[1], ..., sentences[-1], kept[-1].

    Attributes:
        kept: white space, line breaks, and what has neither letters nor digits; one more than there are sentences.
        sentences: what is to be translated, without white space around it.
    """

    kept: list[str]
    sentences: list[str]

    def filled(self, translations: Sequence[str], *, target_language: str | None) -> str:
        """The line with its sentences replaced.

        A line break that a model made up becomes a space. Between two sentences a space comes or goes where only one
        of the two languages separates sentences by one.
        """
        parts = [self.kept[0]]
        last = len(self.sentences) - 1
        for number, (translation, after) in enumerate(zip(translations, self.kept[1:], strict=True)):
            parts.append(" ".join(translation.splitlines()).strip())
            parts.append(after if number == last else _gap(after, target_language))
        return "".join(parts)


def split_line(line: str, splitter: SentenceSplitter) -> Line:
    """Cut up a line, whose end belongs to it. No sentence goes beyond anything that breaks a line."""
    kept, sentences = [""], list[str]()
    for part in line.splitlines(keepends=True):
        for before, sentence, after in _sentences(part, splitter):
            kept[-1] += before
            if any(character.isalnum() for character in sentence):
                sentences.append(sentence)
                kept.append(after)
            else:
                kept[-1] += sentence + after
    return Line(kept, sentences)


def document_lines(text: str) -> list[str]:
    r"""The lines of a text, each with the \n that ends it; the last may lack it."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _sentences(text: str, splitter: SentenceSplitter) -> Iterator[tuple[str, str, str]]:
    """(white space, sentence, white space) until nothing is left."""
    for piece in splitter.split(text):
        sentence = piece.strip()
        start = piece.index(sentence)
        yield piece[:start], sentence, piece[start + len(sentence) :]


def _gap(white_space: str, target_language: str | None) -> str:
    spaced = primary_language(target_language) not in _WITHOUT_SPACES
    if spaced and not white_space:
        return " "
    if not spaced and white_space == " ":
        return ""
    return white_space
