# SPDX-License-Identifier: MIT
"""Compute how each tunnel was over time from the entries that the service wrote to the journal.

Pure: journal entries go in, and spans of time come out. The caller reads the journal.
"""
