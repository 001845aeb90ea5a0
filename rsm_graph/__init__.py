"""rsm-graph: the knowledge graph of NATO's Resolute Support Mission and the software that publishes it."""

__version__ = "1.0.0"
