"""Backups of a server's home as one file: a tar archive in zstd, its manifest first.

``manifest`` is what such a file says of itself, ``write`` makes one, ``read`` checks and unpacks one, ``place`` puts
files and folders under their final names whole or not at all. Which files a home has, and what a return from a backup
means, is the servers' to know. No database is used here.
"""
