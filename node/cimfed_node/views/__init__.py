"""Views: what one shape gives of one snapshot, as an immutable file that queries run on.

``build`` writes one by one statement; ``open_view`` finds it again without a database.
"""

from cimfed_node.views.build import Builder
from cimfed_node.views.files import open_view, view_id

__all__ = ["Builder", "open_view", "view_id"]
