# SPDX-License-Identifier: MIT
"""What is asked of systemd's own library: entries of the journal, and word of how a service goes.

There are two ways to libsystemd: systemd-python, which a distribution builds for its own Python
alone, and ctypes of the standard library, for every other Python. The first that is there is taken
(binding.py). Either is imported when it is first wanted, and no sooner.

Looked at for the second way, and not taken (November 2026): cysystemd 2.0.5 brings a libsystemd of
its own along, with four more libraries, and wants glibc 2.34, which EL 8 doesn't have; pystemd 0.15
has no journal, and a compiler must build it; sdnotify and its like have no journal either.
"""

from __future__ import annotations
