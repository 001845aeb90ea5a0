"""Links to Wikidata: checked, suggested, accepted, and given back. The only part of this project that reaches out.

- :mod:`~rsm_graph.links.wikidata`: a polite, suspicious client
- :mod:`~rsm_graph.links.ours`: what this dataset knows of a thing that an item can be compared with
- :mod:`~rsm_graph.links.check`: does every link still lead to what was meant?
- :mod:`~rsm_graph.links.suggest`: candidates for things without a link; nothing is linked by itself
- :mod:`~rsm_graph.links.accept`: adds a row to the mapping set, with who and why
- :mod:`~rsm_graph.links.quickstatements`: what Wikidata lacks, with references, as QuickStatements
"""
