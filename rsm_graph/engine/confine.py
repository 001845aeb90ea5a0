"""Takes from a process, for good, the means to reach the network (Linux, seccomp(2))."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000 | errno.EACCES
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_ABOVE, _RETURN = 0x20, 0x15, 0x35, 0x06
# By machine: the kernel's name for the architecture, and the numbers of socket, execve, execveat and io_uring_setup.
_CALLS = {"x86_64": (0xC000003E, (41, 59, 322, 425)), "aarch64": (0xC00000B7, (198, 221, 281, 425))}
_OTHER_ABI = 0x40000000
"""Numbers from here on are those of the x32 calling convention."""


def no_network() -> bool:
    """Forbid this process and its threads to make sockets and to start programs; what is open stays open.

    Returns whether the system has agreed; the calls then fail with ``EACCES``.
    """
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return False
    architecture, calls = _CALLS[platform.machine()]
    rules = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 0, len(calls) + 3, architecture), (_LOAD, 0, 0, 0)]
    rules.append((_JUMP_IF_ABOVE, len(calls) + 1, 0, _OTHER_ABI))
    rules += [(_JUMP_IF_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)]
    rules += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    header = struct.pack("HP", len(rules), ctypes.addressof(program))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    agreed = prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    return agreed and bool(prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(header), 0, 0) == 0)
