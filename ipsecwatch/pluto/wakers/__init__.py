# SPDX-License-Identifier: MIT
"""What may bring the next poll forward: pluto's log, its socket, its unit, sleep, the kernel.

A waker never says how a tunnel is. It says "look now", and the log supplies reasons. Each lives
without its source: no journal, no bus, no rights are nothing but a slower answer.
"""
