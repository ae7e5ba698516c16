# SPDX-License-Identifier: MIT
"""The agent of the user's session: which notifications it shows, when, and how."""
