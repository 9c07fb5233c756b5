"""Tiny tokenizer models, trained here from a few sentences of our own."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

SENTENCES = (
    "The old harbour wakes before the sun does.",
    "Two gulls quarrel over a heel of bread near the boats.",
    "She counted 42 steps, then 17 more, and stopped at the blue door.",
    "Nobody had watered the lemon tree since the end of winter.",
    "Is the last train really at 23:05, or was that yesterday?",
    'He said: "Bring the ladder, the short one, and do not forget the rope!"',
    "Bread, butter, salt and a little patience make a good breakfast.",
    "The engineers measured the bridge twice and still disagreed.",
    "Der alte Hafen wacht mit der Sonne auf.",
    "Zwei Möwen streiten sich um ein Stück Brot bei den Booten.",
    "Niemand hatte den Zitronenbaum seit dem Winter gegossen.",
    "Fährt der letzte Zug wirklich um 23:05 Uhr?",
)
SPACE = "\u2581"


@cache
def yttm_model(rules: int = 60, specials: tuple[int, int, int, int] = (1, 0, 2, 3)) -> bytes:
    """A YouTokenToMe model in its text format, with plain byte-pair encoding merges learnt from SENTENCES.

    Args:
        rules: merges to learn.
        specials: ids of unk, pad, bos, eos; -1 leaves one out.
    """
    words = Counter(word for sentence in SENTENCES for word in sentence.split())
    alphabet = [SPACE, *sorted({character for word in words for character in word})]
    free = (number for number in range(10**6) if number not in specials)
    ids = {character: next(free) for character in alphabet}
    split = {word: [SPACE, *word] for word in words}
    merges: list[tuple[int, int, int]] = []
    for _ in range(rules):
        pairs = Counter[tuple[str, str]]()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(sorted(pairs), key=pairs.__getitem__)
        ids["".join(best)] = next(free)
        merges.append((ids[best[0]], ids[best[1]], ids["".join(best)]))
        split = {word: _merge(pieces, best) for word, pieces in split.items()}
    lines = [f"{len(alphabet)} {len(merges)}"]
    lines += [f"{ord(character)} {ids[character]}" for character in alphabet]
    lines += [" ".join(map(str, merge)) for merge in merges]
    lines.append(" ".join(map(str, specials)))
    return ("\n".join(lines) + "\n").encode("ascii")


def _merge(pieces: Sequence[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


@cache
def sentencepiece_model(
    vocab_size: int = 96,
    specials: tuple[int, int, int, int] = (0, 3, 1, 2),
    user_symbols: tuple[str, ...] = (),
    model_type: str = "bpe",
) -> bytes:
    """A SentencePiece model; `specials` are the ids of unk, pad, bos, eos, -1 leaving one out."""
    import sentencepiece

    unk, pad, bos, eos = specials
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES),
        model_writer=out,
        model_type=model_type,
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        unk_id=unk,
        pad_id=pad,
        bos_id=bos,
        eos_id=eos,
        user_defined_symbols=list(user_symbols),
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()
