"""``python -m rsm_graph`` is ``rsm-graph``."""

from rsm_graph.cli import main

if __name__ == "__main__":
    main()
