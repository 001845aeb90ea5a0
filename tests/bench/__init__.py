"""Compares this server with its peers on one machine: ``python -m tests.bench --help``."""
