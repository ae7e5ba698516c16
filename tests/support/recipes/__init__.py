# SPDX-License-Identifier: MIT
"""The README's recipe for subscribers in three D-Bus libraries, each a program of its own.

Each prints a line of JSON whenever it learnt something: the states of all tunnels by name, and
whether a service is there.
"""
