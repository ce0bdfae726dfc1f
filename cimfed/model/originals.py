"""What an untouched object is called among an answer's columns, beside the vocabulary's; ``cimfed.model.schema`` has
their Arrow types. Names alone, for whoever checks or writes a query: that takes no Arrow."""

ORIGINAL = "original"
ORIGINAL_HEADER = "original_header"
