# SPDX-License-Identifier: MIT
"""What libreswan prints: its status texts, its log lines, its words. Pure.

All that changes when a release of libreswan changes its output is here.
"""
