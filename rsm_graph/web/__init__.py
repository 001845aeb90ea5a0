"""The web door: HTTP in front of the same functions as the command line. Start at :mod:`rsm_graph.web.app`."""
