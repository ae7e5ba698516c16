# SPDX-License-Identifier: MIT
"""What may trigger a poll early: pluto's log, its socket, its unit, the end of sleep, the kernel.

A waker never decides the state of a tunnel. It only triggers a poll; the log also supplies reasons.
Each is optional: without the journal, the bus or the rights for one, changes are seen later.
"""
