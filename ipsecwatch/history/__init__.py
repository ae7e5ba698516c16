# SPDX-License-Identifier: MIT
"""Compute from the service's journal entries how each tunnel was over time.

Pure: entries in, spans of time out. The caller reads the journal.
"""
