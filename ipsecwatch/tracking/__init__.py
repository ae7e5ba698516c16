# SPDX-License-Identifier: MIT
"""Compare reports over time, and return the transitions of tunnels. Pure: time is an argument."""
