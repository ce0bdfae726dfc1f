"""Views in PostgreSQL: tables that the serving role can read, in a schema where there is nothing else.

``set_up`` makes the schemas and the role's grants, ``load`` puts a snapshot's rows into a table, ``PostGISBuilder``
makes views from such a table or any other relation, ``PostGISViews`` finds them again.
"""

from cimfed_node.views.postgis.build import PostGISBuilder, Source
from cimfed_node.views.postgis.load import load
from cimfed_node.views.postgis.relations import PostGISViews
from cimfed_node.views.postgis.roles import set_up

__all__ = ["PostGISBuilder", "PostGISViews", "Source", "load", "set_up"]
