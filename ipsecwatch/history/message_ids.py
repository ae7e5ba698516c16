# SPDX-License-Identifier: MIT
"""The MESSAGE_ID of each kind of journal entry that the service writes.

Other programs may search the journal by them, so they never change. ``systemd/ipsecwatch.catalog``
explains each of them.
"""

from __future__ import annotations

from typing import Final

UP: Final = "3024d706a9f9496286630ede1357bc8c"
DOWN: Final = "62fd06d71a8645748a8778e475f6e0bc"
STUCK: Final = "571d2b92b67049c6976d76ab90484f94"
OTHER: Final = "f711044d80864fd790dd5c5b83a02039"
PLUTO_LOST: Final = "9e391dea4ce74d8ab24556cf5889e267"
PLUTO_BACK: Final = "e8395d17085e4ab9b6b9145d4af71b98"
UNRECOGNISED: Final = "3e1ffa05e3c9429a99375d59663eefaf"
SHARED: Final = "8047dcab6fce4a58890fd2639058eb42"
BLOCKED: Final = "ad80a0b1bcb44f81b3da2f47693308b2"
BEGAN: Final = "da20aab1ef0140bd91e734e7e18bc0f7"
ENDED: Final = "924e7deba6264972a1c366c0a65acdb4"
FIRST_LOOK: Final = "b0390fbae5e14c49a005172354b0ed99"
UNLISTED: Final = "344f5a4b1adc4b1c8b4d8c5aa78e736c"
"""pluto no longer lists a tunnel that was DOWN. This isn't announced as a transition, since the
tunnel stays DOWN for subscribers. It is the last entry about the tunnel until pluto lists it
again."""

TRANSITIONS: Final = frozenset({UP, DOWN, STUCK, OTHER})
