# SPDX-License-Identifier: MIT
"""The daemon: it polls pluto, publishes tunnels on the bus, and writes journal entries."""
