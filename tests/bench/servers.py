"""Starts the servers that are compared, each over the same release."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    sparql: str
    dump: str
    """URL of the default graph as N-Triples."""
    pid: int
    started: float
    """Seconds from its start to its first answer, with the data loaded."""


@contextlib.contextmanager
def ours(release: Path) -> Iterator[Server]:
    """Run this project's server over the built release."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "rsm_graph",
        "serve",
        "--release",
        str(release),
        "--allow-nonconforming",
        "--port",
        str(port),
    ]
    with _running("rsm-graph", command, port, "/sparql", "/download/rsm-graph.nt", {}) as server:
        yield server


@contextlib.contextmanager
def oxigraph(release: Path) -> Iterator[Server]:
    """Run the ``oxigraph`` server in memory; the release is sent to it."""
    port = _free_port()
    command = [_program("oxigraph"), "serve", "--bind", f"127.0.0.1:{port}"]
    files = {"/store?default": release / "rsm-graph.nt", "/store": release / "rsm-graph.nq"}
    with _running("oxigraph", command, port, "/query", "/store?default", files) as server:
        yield server


@contextlib.contextmanager
def rdflib_endpoint(release: Path) -> Iterator[Server]:
    """Run ``rdflib-endpoint``, which reads the default graph of the release itself."""
    port = _free_port()
    data = str(release / "rsm-graph.nt")
    command = [_program("rdflib-endpoint"), "serve", "--host", "127.0.0.1", "--port", str(port), data]
    with _running("rdflib-endpoint", command, port, "/", "", {}) as server:
        yield server


def _program(name: str) -> str:
    """Return the path of a peer: on the path, or in the environment that ``BENCH_PEERS`` names."""
    folder = Path(os.environ.get("BENCH_PEERS", Path(sys.executable).parent))
    found = shutil.which(name, path=f"{folder}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        sys.exit(f"{name} is missing: pip install {name}, or name the bin folder that has it in BENCH_PEERS.")
    return found


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _running(
    name: str, command: list[str], port: int, sparql: str, dump: str, send: dict[str, Path]
) -> Iterator[Server]:
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        if send:
            _until(process, lambda: httpx.get(base, timeout=5))
        for path, file in send.items():
            kind = {"content-type": "application/n-triples" if file.suffix == ".nt" else "application/n-quads"}
            httpx.post(base + path, content=file.read_bytes(), headers=kind, timeout=60).raise_for_status()
        query = {"query": "SELECT * { ?s ?p ?o } LIMIT 1"}
        headers = {"accept": "application/sparql-results+json"}
        _until(process, lambda: httpx.get(base + sparql, params=query, headers=headers, timeout=5))
        yield Server(name, base + sparql, base + dump if dump else "", process.pid, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(6)
        except subprocess.TimeoutExpired:
            process.kill()


def _until(process: subprocess.Popen[bytes], ask: object) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            if ask().status_code == 200:  # type: ignore[operator]
                return
        except httpx.TransportError:
            time.sleep(0.005)
    sys.exit(f"{process.args!r} did not start.")
