"""IFC (2X3, 4, 4X3) to CityJSON features, in a process of its own: the kernel is C++ and reads strangers' files.

``work`` is what runs there, ``placing`` puts a building on the ground, ``model`` says what its objects are,
``bodies`` what room they take. ``cimfed_node.ingest.readers.ifc`` starts it and reads what it writes.
"""
