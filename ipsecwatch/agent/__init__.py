# SPDX-License-Identifier: MIT
"""The agent in the user's session: which notifications it shows, when, and how."""
