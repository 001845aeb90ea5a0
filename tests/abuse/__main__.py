"""Inflicts every abuse on a server and prints what came of it, as a Markdown table.

``python -m tests.abuse`` starts a server of its own; ``python -m tests.abuse http://host:port [pid]`` takes one that
runs, and looks at its memory when it is told the number of its process. ``--only TEXT`` takes the cases of that name.
"""

from __future__ import annotations

import argparse
import contextlib

from .cases import ALL
from .target import Beside, Target, serving

_MIB = 2**20


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.abuse", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", help="a server that runs; without it, one is started with its defaults")
    parser.add_argument("pid", nargs="?", type=int, default=0, help="its process, to look at its memory")
    parser.add_argument("--only", default="", help="only the cases whose name contains this")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        target = Target.of(given.url, given.pid) if given.url else stack.enter_context(serving())
        print("|abuse|answer|after|memory above before|slowest small query beside|\n|---|---|---|---|---|")
        wrong = 0
        for abuse in ALL:
            if given.only not in abuse.name:
                continue
            with Beside(target) as beside:
                reply = abuse.inflict(target)
            fine = reply.status in abuse.statuses and not beside.failed
            wrong += not fine
            memory = f"{max(0, beside.most - beside.base) / _MIB:.0f} MiB" if target.pid else "–"
            others = f"{beside.slowest * 1000:.0f} ms" + (f", {len(beside.failed)} failed" if beside.failed else "")
            answers = "" if fine else " **(unexpected)**"
            print(f"|{abuse.name}|{reply.status}{answers}|{reply.seconds:.2f} s|{memory}|{others}|", flush=True)
    print(f"\n{len(ALL)} cases, {wrong} of them unexpected.")


if __name__ == "__main__":
    main()
