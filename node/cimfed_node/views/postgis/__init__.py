"""Views in PostgreSQL: tables that the serving role can read, in a schema where there is nothing else.

``make_role`` and ``set_up`` make the role, the schemas and the grants; ``PostGISShelf`` is what a home uses: it builds
views (``PostGISBuilder``) from relations in place or from snapshots that it loads (``load``). ``PostGISViews`` finds
them again.
"""

from cimfed_node.views.postgis.build import PostGISBuilder, Source
from cimfed_node.views.postgis.load import load, unload
from cimfed_node.views.postgis.relations import PostGISViews
from cimfed_node.views.postgis.roles import make_role, set_up
from cimfed_node.views.postgis.shelf import PostGISShelf

__all__ = ["PostGISBuilder", "PostGISShelf", "PostGISViews", "Source", "load", "make_role", "set_up", "unload"]
