# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.sandbox import hidden_folder

if TYPE_CHECKING:
    from pathlib import Path

# As systemd 252 makes them for our unit, one of them as in a container; the last one is what a
# drop-in with BindPaths= adds.
MOUNTS = """\
611 480 254:1 / / ro,relatime master:1 - ext4 /dev/vda1 rw
640 611 0:25 /systemd/inaccessible/dir /home ro,nosuid - tmpfs tmpfs rw,size=99k,mode=755
641 611 0:25 /host/inaccessible/dir /root ro,nosuid - tmpfs tmpfs rw,size=99k,mode=755
644 611 0:25 /systemd/inaccessible/dir /run/user ro,nosuid - tmpfs tmpfs rw,size=99k,mode=755
650 611 254:1 /tmp/systemd-private-0123-ipsecwatch.service-AbCdEf/tmp /tmp rw - ext4 x rw
651 611 254:1 /var/tmp/systemd-private-0123-ipsecwatch.service-AbC/tmp /var/tmp rw - ext4 x rw
652 611 0:25 / /run rw,nosuid,nodev master:9 - tmpfs tmpfs rw,size=99k,mode=755
653 650 254:1 /srv/vpn /tmp/vpn rw,relatime - ext4 /dev/vda1 rw
654 611 0:25 /systemd/inaccessible/dir /srv/my\\040folder ro - tmpfs tmpfs rw,size=99k
not a mount
"""


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("/tmp/pluto.ctl", "/tmp"),
        ("/tmp/deep/er/pluto.log", "/tmp"),
        ("/run/../tmp/pluto.ctl", "/tmp"),
        ("/var/tmp/pluto.ctl", "/var/tmp"),
        ("/home/paula/vpn/pluto.ctl", "/home"),
        ("/root/pluto.ctl", "/root"),
        ("/run/user/1000/pluto.ctl", "/run/user"),
        ("/run/pluto/pluto.ctl", None),
        ("/tmpx/pluto.ctl", None),
        ("/tmp/vpn/pluto.ctl", None),
        ("/var/log/pluto.log", None),
        ("/srv/my folder/pluto.ctl", "/srv/my folder"),
    ],
)
def test_a_folder_that_the_sandbox_hides_is_known_by_what_is_mounted_there(
    path: str, folder: str | None, tmp_path: Path
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    assert hidden_folder(path, table) == folder


def test_without_a_sandbox_nothing_is_hidden(tmp_path: Path) -> None:
    assert hidden_folder(tmp_path / "pluto.ctl") is None
    assert hidden_folder(tmp_path / "pluto.ctl", tmp_path / "none") is None


HIDE = """
mkdir -p "$1/systemd/inaccessible/dir"
mount --bind "$1/systemd/inaccessible/dir" /home
exec "$2" -m ipsecwatch daemon --config "$3"
"""


@pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None, reason="only root can mount"
)
@pytest.mark.flaky(reruns=2)
def test_a_socket_that_can_not_be_seen_is_refused_with_a_hint(tmp_path: Path) -> None:
    settings = tmp_path / "ipsecwatch.toml"
    settings.write_text('control_socket = "/home/vpn/pluto.ctl"\n')
    command: list[str | Path] = [
        "unshare",
        "--mount",
        "/bin/sh",
        "-ec",
        HIDE,
        "sh",
        tmp_path,
        sys.executable,
        settings,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "mount:" in done.stderr:
        pytest.skip("nothing can be mounted here")
    assert done.returncode == 2
    assert done.stderr == (
        "ipsecwatch: control_socket is in /home, which the service's sandbox hides. "
        "Make pluto create its socket elsewhere, for example below /run\n"
    )
