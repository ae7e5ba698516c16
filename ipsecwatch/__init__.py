# SPDX-License-Identifier: MIT
"""ipsecwatch: watch libreswan tunnels, and tell people and programs what happens to them."""

__version__ = "0.2.0"
