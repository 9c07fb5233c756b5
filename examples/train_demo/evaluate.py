"""Loss, greedy translations and BLEU on the development set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sacrebleu
import sentencepiece
import torch
from sacremoses import MosesDetokenizer
from torch import Tensor
from torch.nn import functional

from batches import BOS, EOS, PAD, load_buckets
from nmt_trt.models.transformer import Transformer

ROWS = 512


@dataclass(frozen=True)
class Scores:
    """Mean negative log-likelihood a token (nats, end tokens included), corpus BLEU and chrF of the translations."""

    loss: float
    bleu: float
    chrf: float
    translations: list[str]


class Evaluator:
    """The development set of a data folder, read once."""

    def __init__(self, data: Path, device: torch.device) -> None:
        self._device = device
        self._buckets = load_buckets(data / "dev_tokens.npz", device)
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(data / "spm.model"))
        self._english = (data / "dev.moses.en").read_text("utf-8").splitlines()
        self._references = (data / "dev.de").read_text("utf-8").splitlines()
        self._detokenizer = MosesDetokenizer(lang="de")

    @torch.inference_mode()
    def __call__(self, model: Transformer) -> Scores:
        """Score `model`, which must be in eval mode."""
        translations = self._translate(model)
        bleu = sacrebleu.corpus_bleu(translations, [self._references]).score
        chrf = sacrebleu.corpus_chrf(translations, [self._references]).score
        return Scores(self._loss(model), bleu, chrf, translations)

    def _loss(self, model: Transformer) -> float:
        total, tokens = 0.0, 0
        for bucket in self._buckets:
            for begin in range(0, len(bucket.tokens), ROWS):
                batch = bucket.batch(np.arange(begin, min(begin + ROWS, len(bucket.tokens))))
                logits = model(batch.source, batch.source_lengths, batch.target[:, :-1])
                labels = batch.target[:, 1:].flatten()
                total += functional.cross_entropy(
                    logits.flatten(0, 1).float(), labels, ignore_index=PAD, reduction="sum"
                ).item()
                tokens += batch.tokens
        return total / tokens

    def _translate(self, model: Transformer) -> list[str]:
        limit = model.config.encoder.max_positions
        ids = [[BOS, *line[: limit - 2], EOS] for line in self._processor.encode(self._english)]
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        texts = [""] * len(ids)
        for begin in range(0, len(order), ROWS):
            rows = order[begin : begin + ROWS]
            lengths = torch.tensor([len(ids[row]) for row in rows], device=self._device)
            source = torch.nn.utils.rnn.pad_sequence(
                [torch.tensor(ids[row]) for row in rows], batch_first=True, padding_value=PAD
            ).to(self._device)
            for row, tokens in zip(rows, greedy(model, source, lengths).tolist(), strict=True):
                text = self._processor.decode(tokens[: tokens.index(EOS)] if EOS in tokens else tokens)
                texts[row] = self._detokenizer.detokenize(text.split(" "))
        return texts


def greedy(model: Transformer, source: Tensor, lengths: Tensor) -> Tensor:
    """Translate `source` [B,S] greedily; returns generated tokens [B,T], EOS included, anything after it.

    The whole prefix is decoded again at every step: for two decoder layers on a GPU a cache is not worth its code.
    """
    memory = model.encode(source, lengths)
    target = torch.full((len(source), 1), BOS, device=source.device)
    finished = torch.zeros(len(source), dtype=torch.bool, device=source.device)
    for _ in range(min(source.shape[1] + 50, model.config.decoder.max_positions - 1)):
        states = model.decode_states(target, memory, lengths)[:, -1]
        logits = model.project(states)
        logits[:, [PAD, BOS]] = -torch.inf
        token = logits.argmax(-1)
        target = torch.cat([target, token[:, None]], dim=1)
        finished |= token == EOS
        if bool(finished.all()):
            break
    return target[:, 1:]
