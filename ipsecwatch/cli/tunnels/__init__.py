# SPDX-License-Identifier: MIT
"""What verbs that show tunnels share: where tunnels come from, which are chosen, how they look."""
