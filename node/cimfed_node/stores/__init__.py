"""Stores: engines that answer reads and aggregates over views, behind one Protocol (``base``)."""
