"""Runs the comparison and prints a table: figures of each server, and ratios of the peers to ours in the same run.

The servers run at once and are asked in turn, round after round, so that whatever else the machine does hits all of
them; a figure is the median over the rounds. The load comes from wrk.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil

from tests.bench.queries import RUNAWAY, mixes
from tests.bench.servers import Server, ours, oxigraph, rdflib_endpoint

_LUA = Path(__file__).with_name("load.lua")
_ACCEPT = "application/sparql-results+json, text/turtle;q=0.9"
_NUMBERS = itertools.count(int(time.time()) % 1_000_000 * 1000)


Starter = Callable[[Path], contextlib.AbstractContextManager[Server]]


@dataclass(frozen=True)
class Load:
    """What one run of wrk found."""

    per_second: float
    failed: int
    median: float
    """Milliseconds."""
    p99: float


def wrk(url: str, queries: Path, how: str, connections: int, seconds: int) -> Load:
    """Put load on an endpoint."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_LUA), url]
    command += ["--", str(queries), how, _ACCEPT, str(next(_NUMBERS))]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = next(line for line in output.splitlines() if line.startswith("RESULT"))
    number, microseconds, failed, median, p99 = map(int, found.split()[1:])
    return Load(number / microseconds * 1e6, failed, median / 1000, p99 / 1000)


def dump(server: Server, seconds: float) -> float:
    """Return how many dumps of the default graph a client gets in a second."""
    address = urlsplit(server.dump)
    end, number = time.monotonic() + seconds, 0
    connection = http.client.HTTPConnection(address.netloc)
    began = time.monotonic()
    while time.monotonic() < end:
        connection.request("GET", f"{address.path}?{address.query}", headers={"Accept": "application/n-triples"})
        response = connection.getresponse()
        assert response.status == 200
        assert response.read().count(b"\n") > 1000
        number += 1
    connection.close()
    return number / (time.monotonic() - began)


class Runaways:
    """Clients that ask what cannot be answered, over and over, until they leave."""

    def __init__(self, server: Server, number: int) -> None:
        self._address = urlsplit(server.sparql)
        self._leave = threading.Event()
        self._connections: list[http.client.HTTPConnection] = []
        self._threads = [threading.Thread(target=self._ask, args=(i,), daemon=True) for i in range(number)]
        for thread in self._threads:
            thread.start()
        time.sleep(0.5)

    def _ask(self, number: int) -> None:
        while not self._leave.is_set():
            connection = http.client.HTTPConnection(self._address.netloc)
            self._connections.append(connection)
            with contextlib.suppress(OSError, http.client.HTTPException):
                query = quote(f"{RUNAWAY} # {number} {time.time()}")
                connection.request("GET", f"{self._address.path}?query={query}", headers={"Accept": _ACCEPT})
                connection.getresponse().read()

    def leave(self) -> None:
        """Hang up."""
        self._leave.set()
        for connection in self._connections:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(2)
            connection.close()


def processor_use(pid: int, seconds: float) -> float:
    """Return how many processors a server and its children keep busy."""

    def spent() -> dict[int, float]:
        found = {}
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[process.pid] = times.user + times.system
        return found

    before = spent()
    time.sleep(seconds)
    return sum(value - before.get(key, 0.0) for key, value in spent().items()) / seconds


def in_turn(servers: Iterable[Server], rounds: int, measure: Callable[[Server], float]) -> dict[str, float]:
    """Return the median of a measurement for each server, taken round after round."""
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server.name].append(measure(server))
    return _medians(found)


class Table:
    """The rows that are printed."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        ratios = [f"{names[0]} : {name}" for name in names[1:]]
        print("|" + "|".join(["", *names, *ratios]) + "|")
        print("|" + "|".join(["---"] * (1 + len(names) + len(ratios))) + "|", flush=True)

    def row(
        self, label: str, found: dict[str, float], unit: str, *, less_is_better: bool = False, ratios: bool = True
    ) -> None:
        """Print a row; a ratio above 1 says that the first server is the better one."""
        figures = [
            f"{found[name]:,.{_digits(found[name])}f} {unit}".rstrip() if name in found else "–" for name in self._names
        ]
        first = found[self._names[0]]
        compared = []
        for name in self._names[1:]:
            if not ratios or name not in found or not found[name] or not first:
                compared.append("–")
            else:
                ratio = found[name] / first if less_is_better else first / found[name]
                compared.append(f"{ratio:.2f}")
        print("|" + "|".join([label, *figures, *compared]) + "|", flush=True)


def _digits(value: float) -> int:
    return 0 if value >= 100 else 1 if value >= 10 else 2


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("release", type=Path, help="folder of a built release (rsm-graph build --out FOLDER)")
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-rdflib", action="store_true", help="leave rdflib-endpoint out")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = {}
        for name, queries in {**mixes(options.release), "ask": ["ASK {}"]}.items():
            files[name] = folder / name
            files[name].write_text("\n".join(quote(query, safe="") for query in queries) + "\n")
        starters = [ours, oxigraph] if options.without_rdflib else [ours, oxigraph, rdflib_endpoint]
        starts: dict[str, list[float]] = {}
        for _ in range(options.rounds):
            for starter in starters:
                with starter(options.release) as server:
                    starts.setdefault(server.name, []).append(server.started)
        running = stack.enter_context(contextlib.ExitStack())
        servers = [running.enter_context(starter(options.release)) for starter in starters]
        table = Table([server.name for server in servers])
        table.row("start to first answer", _medians(starts), "s", less_is_better=True)
        _throughput(table, servers, files, options.seconds, options.rounds)
        dumped = [server for server in servers if server.dump]
        table.row("dump, N-Triples", in_turn(dumped, options.rounds, lambda s: dump(s, options.seconds)), "/s")
        running.close()
        _beside_runaways(table, starters, options.release, files["light"], options.seconds, options.rounds)


def _throughput(table: Table, servers: list[Server], files: dict[str, Path], seconds: int, rounds: int) -> None:
    failed: dict[str, int] = {}

    def measure(server: Server, mix: str, how: str, connections: int) -> Load:
        load = wrk(server.sparql, files[mix], how, connections, seconds)
        failed[server.name] = failed.get(server.name, 0) + load.failed
        return load

    for mix, how in (
        ("ask", "hot"),
        ("ask", "posted"),
        ("ask", "cold"),
        ("light", "hot"),
        ("light", "posted"),
        ("light", "commented"),
        ("light", "cold"),
        ("full", "hot"),
        ("full", "commented"),
        ("full", "cold"),
    ):
        # One heavy query of rdflib's takes longer than a run.
        asked = [server for server in servers if mix != "full" or server.name != "rdflib-endpoint"]
        for connections in (1, 8, 32):
            loads: dict[str, list[Load]] = {server.name: [] for server in asked}
            for _ in range(rounds):
                for server in asked:
                    loads[server.name].append(measure(server, mix, how, connections))
            what = "`ASK {}`" if mix == "ask" else f"{mix} mix"
            label = f"{what}, {how}, {connections} connection{'s' * (connections > 1)}"
            if connections == 1:
                medians = _medians({name: [load.median for load in found] for name, found in loads.items()})
                table.row(f"{label}: median", medians, "ms", less_is_better=True)
            rates = _medians({name: [load.per_second for load in found] for name, found in loads.items()})
            table.row(label, rates, "/s")
    print(f"\nFailed requests: {failed}\n", file=sys.stderr)


def _beside_runaways(
    table: Table, starters: Iterable[Starter], release: Path, queries: Path, seconds: int, rounds: int
) -> None:
    """Measure each server alone: one that does not stop what its clients have left would burden the others."""
    for number in (0, 1, 4, 8):
        # One runaway stops rdflib-endpoint for half a minute.
        asked = [starter for starter in starters if number <= 1 or starter is not rdflib_endpoint]
        medians: dict[str, list[float]] = {}
        slowest: dict[str, list[float]] = {}
        left: dict[str, list[float]] = {}
        failed: Counter[str] = Counter()
        for _ in range(rounds):
            for starter in asked:
                with starter(release) as server:
                    runaways = Runaways(server, number)
                    load = wrk(server.sparql, queries, "cold", 1, seconds)
                    runaways.leave()
                    failed[server.name] += load.failed
                    if load.per_second:  # else it has answered nothing
                        medians.setdefault(server.name, []).append(load.median)
                        slowest.setdefault(server.name, []).append(load.p99)
                    if number:
                        time.sleep(1)
                        left.setdefault(server.name, []).append(processor_use(server.pid, 0.5))
        beside = f"light mix, cold, 1 connection, beside {number} runaways"
        table.row(f"{beside}: median", _medians(medians), "ms", less_is_better=True)
        table.row(f"{beside}: 99th percentile", _medians(slowest), "ms", less_is_better=True)
        if number:
            table.row(f"processors in use 1 s after {number} runaways have left", _medians(left), "", ratios=False)
        print(f"failed beside {number} runaways: {dict(failed)}", file=sys.stderr)


def _medians(found: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    main()
