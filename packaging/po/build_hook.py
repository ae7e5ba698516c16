# SPDX-License-Identifier: MIT
"""A build hook for hatch that adds the translations to a wheel, or to an editable install."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from catalog import write_all


class Translations(BuildHookInterface):
    """Compiles the translations at each build, since only their sources are in the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the translations and add them to the wheel.

        For ``pip install -e`` they are written beside the code instead.
        """
        if version == "editable":
            write_all(Path(self.root, "ipsecwatch", "locale"))
            return
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        for path in write_all(folder):
            inside = Path("ipsecwatch", "locale", path.relative_to(folder))
            build_data["force_include"][str(path)] = str(inside)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary files that were made for a wheel."""
        if version != "editable":
            self._folder.cleanup()
