# SPDX-License-Identifier: MIT
"""The command line: one module or folder for each verb, and code that several verbs share."""
