# SPDX-License-Identifier: MIT
"""Ask pluto, libreswan's daemon: when, which question, and over the socket or whack."""
