"""Work that takes long, away from the sockets: two pieces at a time.

Python runs one thread at a time, so every further one makes small queries wait longer for their turn, and makes
nothing quicker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")

_THREADS = ThreadPoolExecutor(2, "apart")


async def apart(work: Callable[[], _Result]) -> _Result:
    """Return the result of ``work``, done in a thread; what was not begun when the caller is cancelled is never done.

    For pages and data only: ``work`` must not wait for a file or another process.
    """
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
