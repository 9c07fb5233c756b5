"""The beam searches of the C++ core against independent ones in Python, over a random toy model."""
