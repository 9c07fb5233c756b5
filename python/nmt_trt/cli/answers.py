"""Translations and token ids as lines of text or of JSON."""

from __future__ import annotations

import json
import math
from typing import Any

from nmt_trt.results import Hypothesis, TargetScore
from nmt_trt.runtime.stream import Generated, Translation

_LINE_BREAKS = str.maketrans("\r\n", "  ")


def translation_text(translation: Translation) -> str:
    """The best translation in one line: a line break that a model made up becomes a space."""
    return translation.text.translate(_LINE_BREAKS)


def translation_json(translation: Translation) -> str:
    """{"source", "translation", "hypotheses": [{"text", "tokens", "score", "log_prob"}, ...]}."""
    hypotheses = [{"text": text, **_fields(hypothesis)} for text, hypothesis in translation.hypotheses]
    return _dump({"source": translation.source, "translation": translation.text, "hypotheses": hypotheses})


def generation_text(answer: Generated) -> str:
    """The best hypothesis's token ids, separated by spaces."""
    return " ".join(map(str, answer[1][0].tokens.tolist()))


def generation_json(answer: Generated) -> str:
    """{"source", "tokens", "hypotheses": [{"tokens", "score", "log_prob"}, ...]}."""
    source, hypotheses = answer
    best = hypotheses[0].tokens.tolist()
    return _dump({"source": list(source), "tokens": best, "hypotheses": [_fields(h) for h in hypotheses]})


def score_text(_source: str, _target: str, score: TargetScore) -> str:
    """The sum of the log-probabilities."""
    return f"{score.log_prob:.6f}"


def score_json(source: str, target: str, score: TargetScore) -> str:
    """{"source", "target", "tokens", "log_prob", "token_scores"}."""
    fields = {
        "tokens": score.tokens.tolist(),
        "log_prob": _number(score.log_prob),
        "token_scores": [_number(one) for one in score.token_scores.tolist()],
    }
    return _dump({"source": source, "target": target, **fields})


def _fields(hypothesis: Hypothesis) -> dict[str, Any]:
    """Also "token_scores", and "attention" with "alignment", where they were asked for."""
    fields: dict[str, Any] = {
        "tokens": hypothesis.tokens.tolist(),
        "score": _number(hypothesis.score),
        "log_prob": _number(hypothesis.log_prob),
    }
    if hypothesis.token_scores is not None:
        fields["token_scores"] = [_number(one) for one in hypothesis.token_scores.tolist()]
    if hypothesis.attention is not None and hypothesis.alignment is not None:
        fields |= {"attention": hypothesis.attention.tolist(), "alignment": hypothesis.alignment.tolist()}
    return fields


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _number(value: float) -> float | None:
    """None where options leave a sentence no token: JSON has no infinity."""
    return value if math.isfinite(value) else None
