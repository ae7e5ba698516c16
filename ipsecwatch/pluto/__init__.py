# SPDX-License-Identifier: MIT
"""Ask pluto, libreswan's daemon: over which way, which question, and when."""
