# SPDX-License-Identifier: MIT
"""Making many frozen objects in little time.

A frozen dataclass sets each field by way of object.__setattr__, which for a State takes longer
than to read its line. A class with the same slots that isn't frozen is made in a quarter of the
time, and CPython lets an object change between classes of the same layout.
"""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass
from typing import Any


def draft(cls: type, *given: str) -> Any:  # noqa: ANN401 - it makes what it is then said to be
    """Make a class with the slots of a frozen, slotted dataclass, that isn't frozen.

    Its instances are made from the values of the fields ``given`` (none: all of them) in that
    order; other slots stay empty. Then they are given ``__class__``: the dataclass, or one that
    only adds methods to it.
    """
    names = [f.name for f in fields(cls)]
    given = given or tuple(names)
    slots = [(name, object, field()) for name in given]
    slots += [(name, object, field(init=False)) for name in names if name not in given]
    return make_dataclass(cls.__name__, slots, slots=True)
