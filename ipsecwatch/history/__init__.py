# SPDX-License-Identifier: MIT
"""The journal's entries over time: what was watched, and how each tunnel was meanwhile.

Pure: entries in, spans of time out. Whoever reads the journal hands over what it found.
"""
