"""What translations begin with, as a caller gives it."""

from __future__ import annotations

from collections.abc import Sequence

from nmt_trt.errors import UsageError
from nmt_trt.models.config import TransformerConfig
from nmt_trt.options import ResolvedOptions
from nmt_trt.runtime.inputs import Row, check_count, target_rows
from nmt_trt.text.pipeline import TextPipeline


def one_prefix(target_prefix: str | Sequence[str]) -> str:
    """The prefix of one text.

    Raises:
        UsageError: several are given.
    """
    if not isinstance(target_prefix, str):
        raise UsageError(f"target_prefix must be one text, as what is translated is; given {target_prefix!r}")
    return target_prefix


def encoded_prefixes(
    target_prefix: Sequence[str] | None,
    texts: int,
    filled: Sequence[int],
    pipeline: TextPipeline,
    config: TransformerConfig,
) -> list[Row] | None:
    """The tokens of the prefixes of those of `texts` texts that are not empty, whose indices are `filled`.

    Raises:
        UsageError: not one for each text, tokens that no prefix can have, or a model that writes from the end.
    """
    if target_prefix is None:
        return None
    if isinstance(target_prefix, str):
        raise UsageError("target_prefix must be a list of texts, as what is translated is; given one text")
    check_count("target_prefix", len(target_prefix), texts)
    if config.text is not None and config.text.target_tokenizer.right_to_left:
        raise UsageError("this model writes its translations from their end; give the first tokens to generate()")
    return target_rows("target_prefix", [pipeline.encode_target(target_prefix[i]) for i in filled], config)


def check_prefixes(prefixes: Sequence[Row], rows: Sequence[Row], options: ResolvedOptions) -> None:
    """Raise UsageError unless each source has a prefix that its length limit and the policy admit."""
    if options.policy == "nemo":
        raise UsageError("target_prefix: of the policies 'gnmt', 'hf' and 'sample'; given policy 'nemo'")
    check_count("target_prefix", len(prefixes), len(rows))
    for index, (prefix, row) in enumerate(zip(prefixes, rows, strict=True)):
        if prefix.size > (limit := options.length_limit(row.size)):
            raise UsageError(f"target_prefix[{index}] has {prefix.size} tokens; its translation may have {limit}")
