# SPDX-License-Identifier: MIT
"""The message bus: connections, messages and introspection data, for services and clients alike."""
