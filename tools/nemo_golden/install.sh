#!/usr/bin/env bash
# Install the whole of NeMo 1.23.0 for make_golden.py into a virtual environment of its own
# (Python 3.11, about 2 GB):
#     ./install.sh DIRECTORY
set -euo pipefail
venv=${1:?usage: install.sh DIRECTORY}
python3 -m venv "$venv"
install=("$venv/bin/python" -m pip install --quiet)
"${install[@]}" wheel cython 'setuptools<81'
"${install[@]}" torch==2.13.0
"${install[@]}" --no-build-isolation youtokentome==1.0.6
# setuptools stays below 81: pytorch-lightning 2.0.9 imports pkg_resources.
"${install[@]}" 'setuptools<81' pytorch-lightning==2.0.9 hydra-core==1.3.2 omegaconf==2.3.0 huggingface_hub==0.23.4 \
    transformers==4.40.2 pangu==4.0.6.1 opencc jieba sacremoses sacrebleu sentencepiece webdataset braceexpand \
    python-dateutil wget onnx pandas h5py psutil ijson matplotlib scikit-learn einops rouge_score wrapt ruamel.yaml
"${install[@]}" --no-deps nemo_toolkit==1.23.0 megatron_core==0.5.0
"$venv/bin/python" -W ignore -c \
    'from nemo.collections.nlp.models.machine_translation.mt_enc_dec_model import MTEncDecModel'
echo "NeMo 1.23.0 is ready: $venv/bin/python make_golden.py MODEL.nemo SENTENCES > golden.json"
