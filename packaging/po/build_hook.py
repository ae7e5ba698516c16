# SPDX-License-Identifier: MIT
"""Has hatch put the translations into a wheel, and beside the code for ``pip install -e``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from catalog import write_all


class Translations(BuildHookInterface):
    """Compiles them: only their source is in the tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to what is built."""
        if version == "editable":
            write_all(Path(self.root, "ipsecwatch", "locale"))
            return
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        for path in write_all(folder):
            inside = Path("ipsecwatch", "locale", path.relative_to(folder))
            build_data["force_include"][str(path)] = str(inside)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what was only for the wheel."""
        if version != "editable":
            self._folder.cleanup()
