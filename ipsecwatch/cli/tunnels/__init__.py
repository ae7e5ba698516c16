# SPDX-License-Identifier: MIT
"""Tunnels as verbs show them: where they come from, which are chosen, and what is shown."""
