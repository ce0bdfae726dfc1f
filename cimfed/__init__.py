"""cimfed: ask the cities of an alliance one question, get one verified answer."""

__version__ = "0.1.0"
