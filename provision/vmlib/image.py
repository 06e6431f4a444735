# SPDX-License-Identifier: MIT
"""The image's layers, each rebuilt only when what it is made of changed.

base         stock Debian from packages (about a minute), one a release
node         Node.js with its libraries (minutes: one of them is compiled)
provisioned  base + provision.sh run in it (seconds); after a code change provision.sh runs again in the same tree
cloud        base + what a provider's image has for its first boot
disk         the tree as an ext4 file system in a qcow2 file (seconds); `stock` is the same of the base alone

Contents decide, not times: a layer's stamp holds a hash of its inputs.
"""

import hashlib
import os
import shutil
import stat

from vmlib.paths import DEST, IMAGE, KEYS, NODE, TOP, VM, Failure, fail_unless_root, keys_make, locked, quote_tail, run, say

DISK_SIZE = "6G"
PROVISION = TOP / "provision"

# what a VM can be made of: the tree's kind, and the release of Debian
KINDS = {"creel": ("creel", "bookworm"), "stock": ("stock", "bookworm"), "stock-trixie": ("stock", "trixie"),
         "cloud": ("cloud", "bookworm"), "cloud-trixie": ("cloud", "trixie")}


def base_folder(kind):
    release = KINDS[kind][1]
    return IMAGE / ("base" if release == "bookworm" else f"base-{release}")


def tree_folder(kind):
    if kind == "creel":
        return IMAGE / "provisioned"
    return IMAGE / kind if KINDS[kind][0] == "cloud" else base_folder(kind) / "root"


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
    paths = [PROVISION / "image" / n for n in ("base.sh", "mirror.sh", "cloud.txt", "stock.txt", "instruments.txt")]
    paths += [PROVISION / "packages" / n for n in ("runtime.txt", "agent.txt", "machine.txt")]
    return hash_files(paths + [PROVISION / "steps" / "lists.sh"], TOP)


def provision_inputs():
    """All that provision-tree.sh copies into the tree, or runs."""
    paths = [PROVISION / "provision.sh", PROVISION / "image" / "provision-tree.sh"]
    for folder in ("steps", "packages", "config"):
        paths += (PROVISION / folder).rglob("*")
    return hash_files(paths, TOP)


def cloud_inputs():
    return hash_files([PROVISION / "image" / n for n in ("cloud.txt", "cloud-tree.sh")], TOP)


def dest_inputs():
    return hash_files(DEST.rglob("*"), DEST)


def stamp_read(layer):
    try:
        return (IMAGE / f"{layer}.stamp").read_text()
    except OSError:
        return ""


def stamp_write(layer, value):
    (IMAGE / f"{layer}.stamp").write_text(value)


def run_logged(log, argv):
    with open(log, "wb") as out:
        try:
            run(argv, stdout=out, stderr=out)
        except Failure as failure:
            raise Failure(f"{failure}; the end of {log}:\n{quote_tail(log)}") from failure


def base_build(kind):
    want, folder = base_inputs(), base_folder(kind)
    if stamp_read(folder.name) == want:
        return want
    fail_unless_root()
    release = KINDS[kind][1]
    say(f"  IMAGE    {folder.name}: Debian ({release}) from packages (about a minute) ...")
    run_logged(IMAGE / f"{folder.name}.log", [PROVISION / "image" / "base.sh", folder, release])
    stamp_write(folder.name, want)
    return want


def node_build():
    """Node.js with its libraries, as a release brings them; the script looks at what is there already."""
    with locked(VM / "node.lock"):
        if not (NODE / "stamp").exists():
            say("  IMAGE    node: Node.js with its libraries, one of them compiled (a minute or two) ...")
        run_logged(VM / "node.log", [PROVISION / "image" / "node.sh", NODE])
        return (NODE / "stamp").read_text().strip()


def cloud_build(kind, base):
    want, tree = f"{base} {cloud_inputs()}", tree_folder(kind)
    if stamp_read(f"{kind}-tree") == want:
        return want
    fail_unless_root()
    say(f"  IMAGE    {kind}: cloud-init in a copy of the base ...")
    shutil.rmtree(tree, ignore_errors=True)
    run(["cp", "-a", "--reflink=auto", base_folder(kind) / "root", tree])
    run_logged(IMAGE / f"{kind}.log", [PROVISION / "image" / "cloud-tree.sh", tree])
    stamp_write(f"{kind}-tree", want)
    return want


def provisioned_build(base):
    """Runs the operator's own script in the tree. Its report is the log."""
    scripts, dest, node = provision_inputs(), dest_inputs(), node_build()
    want = f"{base} {scripts} {node} {dest}"
    have = stamp_read("provisioned")
    if have == want:
        return want
    fail_unless_root()
    tree = IMAGE / "provisioned"
    (IMAGE / "provisioned.stamp").unlink(missing_ok=True)
    if not have.startswith(f"{base} {scripts} {node} "):
        say("  IMAGE    provisioned: provision.sh in a fresh copy of the base ...")
        shutil.rmtree(tree, ignore_errors=True)
        run(["cp", "-a", "--reflink=auto", IMAGE / "base" / "root", tree])
    else:
        say("  IMAGE    provisioned: the new build into the provisioned tree ...")
    run_logged(IMAGE / "provisioned.log", [PROVISION / "image" / "provision-tree.sh", tree, DEST, NODE])
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
    """Brings IMAGE/KIND.qcow2 (KIND: one of KINDS) up to date. Returns what it was made of, as a string."""
    # one release does not wait for the other
    with locked(IMAGE / f"{base_folder(kind).name}.lock"):
        base = base_build(kind)
        if KINDS[kind][0] == "stock":
            return disk_build(kind, tree_folder(kind), base)
        if KINDS[kind][0] == "cloud":
            return disk_build(kind, tree_folder(kind), cloud_build(kind, base))
        if not DEST.is_dir():
            raise Failure(f"no build to install in {DEST}: use `make vm`")
        return disk_build("creel", IMAGE / "provisioned", provisioned_build(base))


def host_keys(kind):
    """The public host keys inside the image: {alias: [key line, ...]}."""
    tree = tree_folder(kind)
    keys = {"creel-operator": [p.read_text().strip() for p in sorted((tree / "etc/ssh").glob("ssh_host_*_key.pub"))]}
    front = tree / "etc/creel/ssh_host_ed25519_key.pub"
    if front.exists():
        keys["creel-front"] = [front.read_text().strip()]
    return keys
