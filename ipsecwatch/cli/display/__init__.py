# SPDX-License-Identifier: MIT
"""What people see on a terminal, and the keys that they press."""
