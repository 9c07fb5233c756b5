"""A model that translates into a language which the decoder is told."""

from __future__ import annotations

from nmt_trt.models.config import TransformerConfig


def into_language(config: TransformerConfig, language: str | None) -> TransformerConfig:
    """The model whose start token, or whose first generated token by default, is that of a target language.

    Args:
        config: the model.
        language: None for its own default. One that it does not have changes nothing, nor does any in a model whose
            decoder is not told.
    """
    text = config.text
    if text is None or text.target_token == "none":
        return config
    token = text.language_tokens.get(language or text.target_language or "")
    if token is None:
        return config
    if text.target_token == "start":
        tokens = config.special_tokens.model_copy(update={"start": token})
        return config.model_copy(update={"special_tokens": tokens})
    generation = config.generation
    hf = None if generation.hf is None else generation.hf.model_copy(update={"forced_bos": token})
    return config.model_copy(
        update={"generation": generation.model_copy(update={"forced_bos": token, "hf": hf})},
    )
