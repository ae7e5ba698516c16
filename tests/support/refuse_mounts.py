#!/usr/bin/python3 -IB
# SPDX-License-Identifier: MIT
"""Starts systemd in a container in which sandboxes don't work: the mounts that they need fail.

LXC's AppArmor profile has this effect in a container that may not contain others. Here a filter of
system calls has it: mount(2) fails with EPERM for bind mounts. systemd itself boots without
such mounts. How mounts propagate may be changed, as LXC allows: else systemd 257, which changes it
before it runs its generators, doesn't boot.
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
"""The number of the system call mount(2) on each kind of machine."""
MS_BIND = 1 << 12

LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER, FLAGS = 0, 16 + 3 * 8
"""Where in struct seccomp_data the number and the lower half of the fourth argument are."""


def program(mount: int) -> bytes:
    """Return the filter, as an array of struct sock_filter; ``mount`` is the number of mount(2)."""
    steps = (
        (LOAD, 0, 0, NUMBER),
        (IF_EQUAL, 0, 3, mount),
        (LOAD, 0, 0, FLAGS),
        (IF_ANY_BIT, 0, 1, MS_BIND),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    )
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def refuse() -> None:
    """Install the filter for this process and all its later children.

    End the process if that fails.
    """
    steps = program(MOUNT[os.uname().machine])
    kept = ctypes.create_string_buffer(steps, len(steps))
    described = struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(kept))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, MODE_FILTER, described, 0, 0) != 0:
        sys.exit(f"no filter here: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    refuse()
    os.execv("/lib/systemd/systemd", ["systemd", *sys.argv[1:]])
