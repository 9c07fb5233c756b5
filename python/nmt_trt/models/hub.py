"""Downloads a checkpoint from the Hugging Face Hub by its name."""

from __future__ import annotations

from pathlib import Path

from nmt_trt.errors import DownloadError
from nmt_trt.text.dependencies import require

_SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "*.spm",
    "sentencepiece.bpe.model",
    "tokenizer.json",
    "vocab.json",
    "target_vocab.json",
)
_SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
_OTHER_WEIGHTS = ("pytorch_model.bin",)


def download(name: str) -> Path:
    """Download the files that an import needs, and no others, into huggingface_hub's cache; returns their directory.

    Weights are taken as safetensors where there are any.

    Raises:
        MissingDependencyError: huggingface_hub is not installed.
        DownloadError: no such model, or no network and nothing in the cache.
    """
    library = require("huggingface_hub", f"{name}: there is no such file or directory; downloading it", extra="hub")
    try:
        directory = Path(library.snapshot_download(name, allow_patterns=[*_SMALL_FILES, *_SAFE_WEIGHTS]))
        if not any(directory.glob("*.safetensors")):
            directory = Path(library.snapshot_download(name, allow_patterns=[*_SMALL_FILES, *_OTHER_WEIGHTS]))
    except Exception as error:  # those of the library, and of whichever HTTP client it has
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DownloadError(
            f"{name}: there is no such file or directory, and it cannot be downloaded as a model of the Hugging Face "
            f"Hub ({reason[:300]}); download it elsewhere and give its directory"
        ) from error
    return directory
