"""Views: what one shape gives of one snapshot, immutable, which queries run on.

``shelf`` says what every engine does for them. In files: ``build`` writes one by one statement, ``open_view`` finds it
again without a database.
"""

from cimfed_node.views.build import FileBuilder, FileShelf
from cimfed_node.views.files import open_view, view_id
from cimfed_node.views.shelf import Builder, Shelf

__all__ = ["Builder", "FileBuilder", "FileShelf", "Shelf", "open_view", "view_id"]
