"""Kinds of broken input, by family of formats. Each family has ``KINDS``: the name of a kind and what comes of it."""
