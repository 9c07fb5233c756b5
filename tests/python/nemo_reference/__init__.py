"""The real NeMo as a reference: its Transformer modules and its beam search, with random weights."""
