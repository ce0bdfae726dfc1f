"""Texts of other parties, before they reach a terminal or a log."""

from __future__ import annotations


def plain(text: str) -> str:
    """One line without control characters: it steers no terminal and starts no line of a log."""
    return "".join(character if character.isprintable() else " " for character in text)
