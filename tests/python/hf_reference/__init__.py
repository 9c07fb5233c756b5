"""Policy hf against generate() of the real transformers, over random tiny Marian models."""
