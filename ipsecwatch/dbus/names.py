# SPDX-License-Identifier: MIT
"""What the service is called on the bus, for itself and for its clients."""

from __future__ import annotations

from typing import Final

NAME: Final = "org.ipsecwatch1"
ROOT: Final = "/org/ipsecwatch1"
