# SPDX-License-Identifier: MIT
"""The image's layers, each rebuilt only when what it is made of changed.

base         stock Debian from packages (about a minute)
provisioned  base + provision.sh run in it (seconds); after a code change provision.sh runs again in the same tree
disk         the tree as an ext4 file system in a qcow2 file (seconds); `stock` is the same of the base alone

Contents decide, not times: a layer's stamp holds a hash of its inputs.
"""

import hashlib
import os
import shutil
import stat

from vmlib.paths import DEST, IMAGE, KEYS, TOP, Failure, fail_unless_root, keys_make, locked, quote_tail, run, say

DISK_SIZE = "6G"
PROVISION = TOP / "provision"


def hash_files(paths, base):
    """Hash of names, modes, link targets and contents."""
    total = hashlib.sha256()
    for path in sorted(paths):
        info = path.lstat()
        total.update(f"{path.relative_to(base)}\0{stat.S_IMODE(info.st_mode):o}\0".encode())
        if stat.S_ISLNK(info.st_mode):
            total.update(os.readlink(path).encode())
        elif stat.S_ISREG(info.st_mode):
            total.update(path.read_bytes())
        total.update(b"\0")
    return total.hexdigest()[:16]


def base_inputs():
    paths = [PROVISION / "image" / n for n in ("base.sh", "node.sh", "stock.txt", "instruments.txt")]
    return hash_files(paths + [PROVISION / "packages" / n for n in ("runtime.txt", "agent.txt")], TOP)


def provision_inputs():
    """All that provision-tree.sh copies into the tree, or runs."""
    paths = [PROVISION / "provision.sh", PROVISION / "image" / "provision-tree.sh"]
    for folder in ("steps", "packages", "config"):
        paths += (PROVISION / folder).rglob("*")
    return hash_files(paths, TOP)


def dest_inputs():
    return hash_files(DEST.rglob("*"), DEST)


def stamp_read(layer):
    try:
        return (IMAGE / f"{layer}.stamp").read_text()
    except OSError:
        return ""


def stamp_write(layer, value):
    (IMAGE / f"{layer}.stamp").write_text(value)


def base_build():
    want = base_inputs()
    if stamp_read("base") == want:
        return want
    fail_unless_root()
    log = IMAGE / "base.log"
    say("  IMAGE    base: Debian 12 from packages (about a minute) ...")
    with open(log, "wb") as out:
        try:
            run([PROVISION / "image" / "base.sh", IMAGE / "base"], stdout=out, stderr=out)
        except Failure as failure:
            raise Failure(f"{failure}; the end of {log}:\n{quote_tail(log)}") from failure
    stamp_write("base", want)
    return want


def provisioned_build(base):
    """Runs the operator's own script in the tree. Its report is the log."""
    scripts, dest = provision_inputs(), dest_inputs()
    want = f"{base} {scripts} {dest}"
    have = stamp_read("provisioned")
    if have == want:
        return want
    fail_unless_root()
    tree = IMAGE / "provisioned"
    (IMAGE / "provisioned.stamp").unlink(missing_ok=True)
    if not have.startswith(f"{base} {scripts} "):
        say("  IMAGE    provisioned: provision.sh in a fresh copy of the base ...")
        shutil.rmtree(tree, ignore_errors=True)
        run(["cp", "-a", "--reflink=auto", IMAGE / "base" / "root", tree])
    else:
        say("  IMAGE    provisioned: the new build into the provisioned tree ...")
    log = IMAGE / "provisioned.log"
    with open(log, "wb") as out:
        try:
            run([PROVISION / "image" / "provision-tree.sh", tree, DEST], stdout=out, stderr=out)
        except Failure as failure:
            raise Failure(f"{failure}; the end of {log}:\n{quote_tail(log)}") from failure
    stamp_write("provisioned", want)
    return want


def disk_build(kind, tree, want):
    """`tree` as IMAGE/KIND.qcow2, with the operator's key in it as a provider would put it there."""
    keys_make()
    want = f"{want} {DISK_SIZE} {hash_files([KEYS['root'].with_suffix('.pub')], KEYS['root'].parent)}"
    if stamp_read(kind) == want:
        return want
    fail_unless_root()
    say(f"  IMAGE    {kind}.qcow2")
    folder = tree / "root" / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(KEYS["root"].with_suffix(".pub"), folder / "authorized_keys")
    os.chmod(folder / "authorized_keys", 0o600)

    raw, new = IMAGE / f"{kind}.raw", IMAGE / f"{kind}.qcow2.new"
    raw.unlink(missing_ok=True)
    run(["truncate", "-s", DISK_SIZE, raw])
    # lazy_itable_init=0 would write out every inode table here; the guest's kernel must not do that either, an
    # emulated CPU has better things to do: sparse tables are zero already.
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1,assume_storage_prezeroed=1", "-d", tree, raw])
    run(["qemu-img", "convert", "-O", "qcow2", raw, new])
    raw.unlink()
    os.replace(new, IMAGE / f"{kind}.qcow2")
    stamp_write(kind, want)
    return want


def image_build(kind):
    """Brings IMAGE/KIND.qcow2 ("creel" or "stock") up to date. Returns what it was made of, as a string."""
    with locked(IMAGE / "lock"):
        base = base_build()
        if kind == "stock":
            return disk_build("stock", IMAGE / "base" / "root", base)
        if not DEST.is_dir():
            raise Failure(f"no build to install in {DEST}: use `make vm`")
        return disk_build("creel", IMAGE / "provisioned", provisioned_build(base))


def host_keys(kind):
    """The public host keys inside the image: {alias: [key line, ...]}."""
    tree = IMAGE / "base" / "root" if kind == "stock" else IMAGE / "provisioned"
    keys = {"creel-operator": [p.read_text().strip() for p in sorted((tree / "etc/ssh").glob("ssh_host_*_key.pub"))]}
    front = tree / "etc/creel/ssh_host_ed25519_key.pub"
    if front.exists():
        keys["creel-front"] = [front.read_text().strip()]
    return keys
