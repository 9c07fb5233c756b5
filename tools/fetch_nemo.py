"""Fetch the sources of NeMo 1.23.0 that the tests compare with into build/nemo_toolkit-1.23.0.

    python tools/fetch_nemo.py [DIRECTORY]

pip downloads the wheel (3.2 MB, without its dependencies); its SHA-256 is checked, and only the modules that
the tests load are unpacked: the Transformer, the beam search and the text handling. Does nothing when they are
there already.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.23.0"
SHA256 = "5182ab96d302289016ebd798f2032b8a1342f3b7f36ab94922dec48ac1f3f5c9"
DESTINATION = Path(__file__).resolve().parents[1] / "build" / f"nemo_toolkit-{VERSION}"

TOKENIZERS = "nemo/collections/common/tokenizers"
TRANSFORMER = "nemo/collections/nlp/modules/common/transformer"
MEMBERS = (
    f"{TRANSFORMER}/transformer_modules.py",
    f"{TRANSFORMER}/transformer_encoders.py",
    f"{TRANSFORMER}/transformer_decoders.py",
    f"{TRANSFORMER}/transformer_generators.py",
    "nemo/collections/common/parts/multi_layer_perceptron.py",
    "nemo/collections/common/parts/transformer_utils.py",
    "nemo/collections/nlp/models/machine_translation/mt_enc_dec_model.py",
    f"{TOKENIZERS}/tokenizer_spec.py",
    f"{TOKENIZERS}/sentencepiece_tokenizer.py",
    f"{TOKENIZERS}/bytelevel_tokenizers.py",
    f"{TOKENIZERS}/chinese_tokenizers.py",
    f"{TOKENIZERS}/en_ja_tokenizers.py",
    f"{TOKENIZERS}/indic_tokenizers.py",
    f"{TOKENIZERS}/moses_tokenizers.py",
    f"nemo_toolkit-{VERSION}.dist-info/LICENSE",
)


def download(folder: Path) -> Path:
    """Download the wheel into `folder` and check it.

    Raises:
        SystemExit: pip failed, or the wheel is not the expected one.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(folder), f"nemo_toolkit=={VERSION}"]
    status = subprocess.run(command, check=False).returncode
    wheels = list(folder.glob("*.whl"))
    if status or len(wheels) != 1:
        raise SystemExit(
            f"expected one wheel of nemo_toolkit {VERSION}; pip ended with {status}, leaving {len(wheels)}"
        )
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"expected {wheels[0].name} to have SHA-256 {SHA256}; it has {found}")
    return wheels[0]


def fetch(destination: Path) -> None:
    """Unpack MEMBERS into `destination`, which appears complete or not at all."""
    if all((destination / member).is_file() for member in MEMBERS):
        destination.touch()  # newer than this script, for make
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".nemo-", dir=destination.parent) as temporary:
        unpacked = Path(temporary) / "unpacked"
        with zipfile.ZipFile(download(Path(temporary))) as wheel:
            wheel.extractall(unpacked, MEMBERS)
        shutil.rmtree(destination, ignore_errors=True)
        unpacked.rename(destination)
    print(f"NeMo {VERSION}: {len(MEMBERS)} files in {destination}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Fetch the NeMo modules that the tests compare with.")
    parser.add_argument(
        "directory", type=Path, nargs="?", default=DESTINATION, help="where to unpack (default: %(default)s)"
    )
    fetch(parser.parse_args().directory)


if __name__ == "__main__":
    main()
