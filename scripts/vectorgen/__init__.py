"""Makes tests/vectors/*.json: what docs/wire.md says, as bytes with a verdict for each.

One file here for each group of vectors. Each gives documents by file name; ``scripts/make_vectors`` writes them. Seeds
and times are fixed and signatures are deterministic, so the bytes are the same on every run. What a case means and how
it is judged is written by hand beside it, never computed by the code that it tests.
"""
