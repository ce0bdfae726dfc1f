"""The log of a server in its SQL database: entries, the hashes of their tree, checkpoints.

``schema`` has the tables, ``database`` opens an SQLite file, ``log`` appends and proves, ``checkpoints`` signs and
keeps what is signed, ``publisher`` does so while a server runs, ``check`` recomputes all of it. What an entry, a tree
and a checkpoint are says ``cimfed.trust.tlog``.
"""
