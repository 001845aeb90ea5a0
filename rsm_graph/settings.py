"""Every setting, in one class: the command line, the README's table and the environment read the same rows.

Order of precedence: command-line option, then ``RSM_GRAPH_*`` environment variable, then the default here.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rsm_graph.namespaces import DEFAULT_BASE


class Settings(BaseSettings):
    """The settings of one process, immutable and passed as an argument; nothing reads them globally.

    Raises ``pydantic.ValidationError`` when a value is out of its range.
    """

    model_config = SettingsConfigDict(env_prefix="RSM_GRAPH_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="front processes that accept connections")
    base_iri: str = Field(DEFAULT_BASE, description="base IRI of the dataset; everything is re-based to it")
    project: Path | None = Field(
        None, description="folder with ontology/ and data/ to use instead of the installed ones"
    )
    public_url: str = Field(
        "", description="address under which clients reach this server, with any path prefix of a proxy"
    )
    proxy: tuple[str, ...] = Field(
        (), description="addresses of proxies in front, which name the client at the end of X-Forwarded-For"
    )
    query_timeout: float = Field(10.0, gt=0, le=3600, description="seconds a query may run")
    query_memory: int = Field(256, ge=16, description="MiB a query may use beyond the loaded store")
    query_length: int = Field(1_000_000, ge=1000, description="bytes of query text accepted")
    query_tokens: int = Field(250_000, ge=100, description="words and signs of a query")
    query_depth: int = Field(1000, ge=10, description="brackets that a query may have open at once")
    queries_at_once: int = Field(
        default_factory=lambda: max(2, os.cpu_count() or 2),
        ge=1,
        le=256,
        description="queries at once, all workers together",
    )
    queue_length: int = Field(256, ge=0, description="queries that may wait for an evaluator, all workers together")
    short_seconds: float = Field(
        0.1,
        gt=0,
        le=60,
        description="seconds after which a query gives up its place to others, unless it gets a permit",
    )
    long_queries: int = Field(
        2,
        ge=1,
        le=256,
        description="permits for queries that take longer, all workers together; each worker has one at least",
    )
    spool_bytes: int = Field(8 * 2**20, ge=0, description="bytes of an answer kept in memory before it goes to a file")
    answer_bytes: int = Field(256 * 2**20, ge=2**16, description="bytes of one answer")
    cache_bytes: int = Field(64 * 2**20, ge=0, description="bytes of answers kept in memory, all workers together")
    request_bytes: int = Field(2 * 2**20, ge=1024, description="bytes of a request body")
    request_timeout: float = Field(20.0, gt=0, description="seconds a request may take to arrive")
    allow_service: tuple[str, ...] = Field((), description="addresses that SERVICE may reach")
    log_queries: bool = Field(False, description="write query texts into the log")
    slow_query: float = Field(1.0, gt=0, description="seconds after which a query is logged as slow")
    wikidata_url: str = Field("https://www.wikidata.org", description="Wikidata, or another Wikibase, for `link`")
    contact: str = Field("", description="who runs this (address or e-mail), told to the servers that `link` asks")

    @field_validator("base_iri")
    @classmethod
    def _ends_like_a_namespace(cls, value: str) -> str:
        if (
            not value.startswith(("http://", "https://"))
            or not value.endswith("/")
            or any(c in value for c in ' <>"{}|\\^`')
        ):
            raise ValueError("must be an http(s) IRI that ends with /")
        return value
