"""cimfed-gateway: finds the cities that can answer, asks them side by side, brings their answers back.

The gateway is not trusted: partners sign their queries and cities sign their answers, so it can neither ask, widen,
forge, cut nor reorder. What it says of a city that did not answer is marked as its word.
"""
