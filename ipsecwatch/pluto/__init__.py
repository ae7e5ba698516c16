# SPDX-License-Identifier: MIT
"""Asking pluto, libreswan's daemon: how, what, and when."""
