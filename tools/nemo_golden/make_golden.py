"""Translate sentences with the real NeMo, one at a time, and write everything that its search found.

    python make_golden.py model.nemo sentences.en > golden.json

Runs in the environment that install.sh makes, on the CPU, with the model's own beam size, length penalty and length
limit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

warnings.simplefilter("ignore")  # before the imports: NeMo and its dependencies warn a lot

import nemo
from nemo.collections.nlp.models.machine_translation.mt_enc_dec_model import (
    MTEncDecModel,
)
from nemo.utils import logging


class RecordingSearch:
    """Stands in for a model's beam search and keeps all the hypotheses of the last call."""

    def __init__(self, search: Any) -> None:
        self._search = search
        self.tokens: list[list[int]] = []
        self.scores: list[float] = []
        self.best: list[int] = []

    def __call__(
        self, encoder_hidden_states: torch.Tensor, encoder_input_mask: torch.Tensor, return_beam_scores: bool
    ) -> Any:
        """Search one sentence; returns the best hypothesis, int64 [1,T]."""
        prefixes, scores, best = self._search(
            encoder_hidden_states=encoder_hidden_states,
            encoder_input_mask=encoder_input_mask,
            return_beam_scores=True,
        )
        self.tokens, self.scores = prefixes.tolist(), scores.view(-1).tolist()
        self.best = best[0].tolist()
        return best


def translate(model: Any, search: RecordingSearch, sentence: str) -> dict[str, Any]:
    """One entry of the golden file."""
    languages = {"source_lang": model.src_language, "target_lang": model.tgt_language}
    (translation,) = model.translate([sentence], **languages)
    source_ids, _ = MTEncDecModel.prepare_inference_batch(
        [sentence], source_processor=model.source_processor, encoder_tokenizer=model.encoder_tokenizer
    )
    return {
        "source": sentence,
        "translation": translation,
        "source_ids": source_ids[0].tolist(),
        "best": search.best,
        "tokens": search.tokens,
        "scores": search.scores,
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Translate sentences with the real NeMo.")
    parser.add_argument("model", type=Path, help="the .nemo archive")
    parser.add_argument("sentences", type=Path, help="one sentence a line")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.setLevel(logging.ERROR)
    model = MTEncDecModel.restore_from(str(options.model), map_location="cpu")
    model.beam_search = search = RecordingSearch(model.beam_search)
    sentences = options.sentences.read_text("utf-8").splitlines()
    header = {
        "nemo": nemo.__version__,
        "torch": torch.__version__,
        "model": options.model.name,
        "model_sha256": hashlib.sha256(options.model.read_bytes()).hexdigest(),
        "beam_size": model.cfg.beam_size,
        "length_penalty": model.cfg.len_pen,
        "max_length_delta": model.cfg.max_generation_delta,
    }
    fields = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in header.items())
    entries = ",\n".join(
        json.dumps(translate(model, search, sentence), ensure_ascii=False) for sentence in sentences if sentence.strip()
    )
    sys.stdout.write(f'{{\n{fields}"sentences": [\n{entries}\n]\n}}\n')


if __name__ == "__main__":
    main()
