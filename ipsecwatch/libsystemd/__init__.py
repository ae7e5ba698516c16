# SPDX-License-Identifier: MIT
"""Call systemd's own library, to read the journal and to send systemd the service's state.

There are two ways to call libsystemd from Python: through systemd-python, which a distribution
builds only for its own Python, and through ctypes of the standard library, for every other Python.
systemd-python is used if it is installed, else ctypes (binding.py). Either is imported only when it
is first needed.

Considered instead of ctypes, and not used (November 2026): cysystemd 2.0.5 includes a libsystemd of
its own, with four more libraries, and needs glibc 2.34, which EL 8 doesn't have; pystemd 0.15 has
no journal, and needs a compiler; sdnotify and similar packages have no journal either.
"""

from __future__ import annotations
