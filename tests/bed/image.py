# SPDX-License-Identifier: MIT
"""Images of Debian to boot beds from, and our packages as built on Debian.

An image contains libreswan, and nothing of ipsecwatch. Images are made once, and kept outside the
checkout. The files in guest/ are added at each boot.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from tests.support.container import UnbootableError
from tests.support.paths import TOP

LIBRESWAN: Final = {"bookworm": "4.10", "trixie": "5.2"}
"""The releases of Debian for which there are beds, and the release of libreswan in each."""

MMDEBSTRAP: Final = ("unshare", "--mount", "mmdebstrap")
"""The command mmdebstrap in a mount namespace of its own, so that no mount is left if it is
killed."""
PATIENCE: Final = 600
"""How many seconds the making of an image, or of packages, may take."""

_SOURCE: Final = (
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "build/wheels",
    "docs", "ipsecwatch", "packaging", "pyproject.toml", "systemd", "tests",
)  # fmt: skip

_PACKAGES: Final = (
    "dbus", "iproute2", "iputils-ping", "kmod", "libnss3-tools", "libreswan", "polkitd", "python3",
    "python3-systemd", "systemd-sysv",
)  # fmt: skip

_BUILD: Final = (
    "build-essential", "debhelper", "dh-python", "lintian", "python3-pip",
)  # fmt: skip

_INIT: Final = """#!/bin/sh
# What is ours lies on the host, in a folder that is mounted at /host, or shown there already.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
if [ -n "$bed" ]; then
    mount -t hostfs -o "$bed" bed /host
    mount -t hostfs -o /usr/lib/uml/modules modules /lib/modules
fi
cp -r /host/guest/. /
exec /lib/systemd/systemd --unit=bed.target
"""

_IDLE: Final = (
    "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service", "systemd-random-seed.service", "systemd-firstboot.service",
    "systemd-update-utmp.service", "systemd-modules-load.service", "systemd-binfmt.service",
    "systemd-hwdb-update.service", "systemd-machine-id-commit.service", "ldconfig.service",
    "systemd-sysusers.service", "systemd-journal-catalog-update.service", "systemd-repart.service",
    "kmod-static-nodes.service", "dev-hugepages.mount", "sys-kernel-config.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount",
    "systemd-tpm2-setup.service", "systemd-tpm2-setup-early.service", "apt-daily.timer",
    "proc-sys-fs-binfmt_misc.automount", "apt-daily-upgrade.timer", "e2scrub_all.timer",
    "fstrim.timer", "dpkg-db-backup.timer", "systemd-logind.service",
)  # fmt: skip
"""Units that a bed doesn't need. Each would make the boot a little slower."""

_FINISH: Final = f"""
set -e
cat >"$1/bed-init"
chmod 755 "$1/bed-init"
mkdir -p "$1/host" "$1/lib/modules" "$1/var/log/journal" "$1/etc/bed/ipsec.d"
for unit in {" ".join(_IDLE)}; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done
for folder in ipsec/nss east; do
    mkdir -p "$1/var/lib/$folder"
    rm -f "$1/var/lib/$folder"/*.db "$1/var/lib/$folder"/pkcs11.txt
    chroot "$1" certutil -N -d "sql:/var/lib/$folder" --empty-password
done
rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/etc/ipsec.d/policies
rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale
echo west >"$1/etc/hostname"
echo '127.0.0.1 localhost west' >"$1/etc/hosts"
: >"$1/etc/resolv.conf"
: >"$1/etc/fstab"
systemd-id128 new >"$1/etc/machine-id"
"""


def cache() -> Path:
    """Return the folder in which images are kept."""
    above = os.environ.get("XDG_CACHE_HOME") or "/var/cache"
    return Path(above) / "ipsecwatch-bed"


def image(suite: str) -> Path:
    """Return the path of a Debian's image, which is made if there is none yet.

    Raise UnbootableError if it can't be made.
    """
    recipe = repr((suite, _PACKAGES, _INIT, _FINISH))
    path = cache() / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.ext4"
    if path.exists():
        return path
    for tool in ("mmdebstrap", "mke2fs", "systemd-id128"):
        if shutil.which(tool) is None:
            raise UnbootableError(f"{tool} isn't installed")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be making it
            if not path.exists():
                _make(suite, path)
    except OSError as e:
        raise UnbootableError(f"no room for images: {e}") from e
    return path


def _make(suite: str, path: Path) -> None:
    """Make a Debian's image, and remove older ones of it."""
    for old in path.parent.glob(f"{suite}-*"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        root = Path(work, "root")
        include = f"--include={','.join(_PACKAGES)}"
        run(*MMDEBSTRAP, "--quiet", "--variant=minbase", include, suite, str(root), *mirror())
        run("/bin/sh", "-c", _FINISH, "sh", str(root), given=_INIT)
        new = Path(work, "new")
        # No journal and no checksums: it is written to once. Room for a soak's journal.
        features = "^has_journal,^metadata_csum"
        run("mke2fs", "-q", "-t", "ext4", "-O", features, "-d", str(root), str(new), "1200M")
        new.rename(path)


def package(suite: str, folder: Path) -> Path:
    """Build our packages on a Debian, and check them with lintian.

    Return the path of the package ``ipsecwatch``. Raise UnbootableError if that Debian can't be
    installed. A failed build fails the test.
    """
    source = folder / "source.tar"
    with tarfile.open(source, "w") as tar:
        for name in _SOURCE:
            tar.add(TOP / name, f"src/{name}")
    script = "sh /src/packaging/deb /out && lintian --allow-root --fail-on=error /out/*.changes"
    log = folder / "log"
    run(
        *MMDEBSTRAP, "--quiet", "--variant=minbase", f"--include={','.join(_BUILD)}",
        f"--customize-hook=tar-in {source} /",
        f"--customize-hook=chroot $1 sh -c '{script}' >{log} 2>&1 ||"
        " { mkdir -p $1/out; touch $1/out/failed; }",
        f"--customize-hook=copy-out /out {folder}",
        suite, "/dev/null", *mirror(),
    )  # fmt: skip
    assert not (folder / "out/failed").exists(), log.read_text()
    [deb] = (folder / "out").glob("ipsecwatch_*_all.deb")
    return deb


def mirror() -> list[str]:
    """Return the address from which this system gets Debian's packages, in a list.

    The list is empty if this system isn't Debian.
    """
    known = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages",
         "Label: Debian"],
        capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    return known[:1]


def run(*argv: str, given: str = "") -> None:
    """Run a program with ``given`` as its input.

    Raise UnbootableError, with its last line of output, if it fails or takes too long.
    """
    try:
        done = subprocess.run(
            argv, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired as e:
        raise UnbootableError(f"{argv[0]} took more than {PATIENCE} s") from e
    if done.returncode != 0:
        said = done.stdout.strip().splitlines()
        raise UnbootableError(f"{argv[0]} failed: {said[-1] if said else done.returncode}")
