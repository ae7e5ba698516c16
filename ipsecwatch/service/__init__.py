# SPDX-License-Identifier: MIT
"""The daemon, and what it offers: objects and methods on the bus, entries in the journal."""
