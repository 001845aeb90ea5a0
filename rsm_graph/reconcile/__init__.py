"""Finds the things of this dataset behind other people's names: the Reconciliation Service API 0.2, without HTTP.

The final report of 10 April 2023 is followed: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/

- :mod:`~rsm_graph.reconcile.catalogue`: the types and properties on offer, and the values of a property
- :mod:`~rsm_graph.reconcile.matching`: questions become candidates
- :mod:`~rsm_graph.reconcile.protocol`: the messages, JSON in and JSON out
- :mod:`~rsm_graph.reconcile.sheet`: the same for a CSV file
"""
