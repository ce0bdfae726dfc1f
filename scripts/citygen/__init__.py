"""Plausible cities out of nothing but a name, a number of buildings and a seed.

``layout`` lays out quarters, blocks and lots and draws footprints; ``stock`` says what stands on them; ``presets``
knows how three cities write that down (attribute names, codes, languages, coordinate system); ``write`` makes
CityJSON of it and ``truth`` the plain table that tests check an import against.

Every drawn number is a function of (seed, what it is for, number of the building or quarter): see ``chance``. So a
city can be made in pieces of any size, in any order, twice over, with the same bytes.

Left out: terrain, roofs as geometry, streets as objects, and any claim to be the real city.
"""
