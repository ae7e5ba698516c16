# SPDX-License-Identifier: MIT
"""Reports over time in, transitions out. Pure: the clock is an argument."""
