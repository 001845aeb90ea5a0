"""The class diagram of the vocabulary, drawn as SVG on the server: classes as a tree, properties as arcs."""

from __future__ import annotations

from rsm_graph.web.overviews import Ontology
from rsm_graph.web.site import Site


def classes(site: Site, view: Ontology) -> str:
    """Return an SVG document without styles of its own; the page's stylesheet colours it."""
    return ""
