# SPDX-License-Identifier: MIT
"""Output to a terminal, and the keys that are pressed there."""
