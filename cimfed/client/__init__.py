"""Asking a federation: connect, read, aggregate, catalogue; every answer is verified here."""
