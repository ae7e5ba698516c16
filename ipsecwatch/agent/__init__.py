# SPDX-License-Identifier: MIT
"""The agent of the user's session: what is told on the desktop, when, and how."""
