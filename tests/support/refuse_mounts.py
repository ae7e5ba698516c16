#!/usr/bin/python3 -IB
# SPDX-License-Identifier: MIT
"""Becomes systemd, in a container whose kernel then refuses what sandboxes mount.

What LXC's AppArmor profile does to a container that may nest nothing is done by a filter of system
calls here: mount(2) fails with EPERM where a mount is bound or taken out of propagation. systemd
itself boots without.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import Final

PR_SET_SECCOMP, MODE_FILTER = 22, 2
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
MOUNT: Final = {"x86_64": 165, "aarch64": 40}
"""The number of mount(2), by machine."""
MS_BIND, MS_SLAVE = 1 << 12, 1 << 19

LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FLAGS = 0, 16 + 3 * 8
"""Where in struct seccomp_data the number and the lower half of the fourth argument are."""


def program(mount: int) -> bytes:
    """Return the filter as struct sock_filter has it: code, jump if so, jump if not, value."""
    steps = (
        (LOAD, 0, 0, NUMBER),
        (IF_EQUAL, 0, 3, mount),
        (LOAD, 0, 0, FLAGS),
        (IF_ANY_BIT, 0, 1, MS_BIND | MS_SLAVE),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    )
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def refuse() -> None:
    """Have the kernel refuse, to this process and all that come of it."""
    steps = program(MOUNT[os.uname().machine])
    kept = ctypes.create_string_buffer(steps, len(steps))
    described = struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(kept))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, described, 0, 0) != 0:
        sys.exit(f"no filter here: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    refuse()
    os.execv("/lib/systemd/systemd", ["systemd", *sys.argv[1:]])
