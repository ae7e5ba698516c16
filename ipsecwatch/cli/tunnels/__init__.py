# SPDX-License-Identifier: MIT
"""Tunnels as verbs show them: where they come from, which are meant, and what is told of them."""
