"""Readers: one per kind of file, all giving rows to chunks.

A reader is made by ``cimfed_node.ingest.detect.reader_of``, which looks at the content, never at the name.
"""
