# SPDX-License-Identifier: MIT
"""What the pages name is there: commands with their verbs and options, keys of policies, paths, units, manual pages, links. And the
other way round: what is installed, each verb, option and key, has its place in a manual page."""

import functools
import re
import subprocess

import pytest

from conftest import BUILD, CREEL, ROOT
from pages import DOCS

CREELCTL = BUILD / "creelctl"
MAN = DOCS / "man"
PAGES = sorted([ROOT / "README.md", *(page for page in DOCS.glob("*.md") if page.name != "CHANGELOG.md")])
PLACES = r"/(?:etc/creel|usr/share/creel|usr/libexec/creel|usr/lib/systemd|var/lib/creel|var/log/creel|run/creel|sys/fs/bpf/creel)"
NAMES = r"\b(?:bot|bob|claw|helper|agent|UID|NAME|ID)\b"
SUFFIXES = "conf|pub|sh|py|c|h|json|md|keys|principals|service|socket|timer|slice|keeper"


@pytest.fixture(autouse=True)
def needs_own_sockets():
    """Nothing here asks a keeper."""


def output(*words, code=0):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == code, done
    return done.stdout


@functools.cache
def shown(page):
    """A manual page as a reader has it, hyphenated nowhere."""
    text = subprocess.run(["man", "--no-hyphenation", "--no-justification", "-E", "ascii", "-l", page], capture_output=True, text=True,
                          check=True, env={"MANWIDTH": "500", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}).stdout
    return re.sub(r".\x08", "", text)


@functools.cache
def sources():
    """Where a path may be written: what is installed, the sources, the manual pages."""
    files = [path for folder in ("shell", "sshd-sub", "units", "provision") for path in (ROOT / folder).rglob("*")]
    text = "\n".join(path.read_text(errors="replace") for path in files if path.is_file() and path.suffix not in (".gz", ".qcow2"))
    return "\n".join([text, *map(shown, sorted(MAN.iterdir())), *installed()])


@functools.cache
def installed():
    """As `make install` would put it, without doing so."""
    done = output("make", "-C", ROOT, "-n", "V=1", "install", f"BUILD={BUILD}", "DESTDIR=/destination")
    found = re.findall(r"'/destination(/\S+)'", done)
    assert len(found) > 80
    return found


@functools.cache
def creelctl_verbs():
    """{agent: {add: [--key ...]}}; a group without verbs has ''."""
    found = {}
    for line in output(CREELCTL, "help").splitlines():
        for group, rest in re.findall(r"^  creelctl ([a-z]+)(?: (.*))?$", line):
            options = re.findall(r"--[a-z-]+", rest)
            verb = re.match(r"[a-z]+\b", rest)
            found.setdefault(group, {}).setdefault(verb[0] if verb else "", []).extend(options)
            for more in re.findall(r"\| ([a-z]+) [A-Z]", rest) if group == "agent" else ():
                found[group].setdefault(more, [])
    return found


@functools.cache
def creel_verbs():
    verbs = re.findall(r"^  creel ([a-z-]+)", output(CREEL, "help"), re.M)
    return {verb: output(CREEL, verb, "--help") if verb != "help" else "" for verb in verbs}


@functools.cache
def keys():
    return set(re.findall(r"^([a-z]+\.[a-z_]+) = ", output(CREELCTL, "policy", "show"), re.M))


def has(text, option):
    return re.search(rf"(?<![\w-]){option}(?![\w-])", text) is not None


def code(text):
    """What stands in spans and blocks of code, a line each."""
    fenced = re.findall(r"^ *```[^\n]*\n(.*?)^ *```$", text, re.M | re.S)
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.M | re.S))
    return [line for block in fenced for line in block.splitlines()] + [span.replace("\n", " ") for span in spans]


def creelctl_faults(line):
    for command in re.findall(r"(?<![\w./-])creelctl ([^;&`]*)", line):
        command = command.split(" # ")[0]
        words = re.match(r"([a-z|]+)(?: ([a-z|]+)(?![a-z.]*=))?", command)
        for group in words[1].split("|") if words else ():
            if group not in creelctl_verbs():
                yield f"creelctl {group}"
                continue
            verbs = creelctl_verbs()[group]
            for verb in (words[2] or "").split("|"):
                if verb and verb not in verbs and verbs.keys() != {""}:
                    yield f"creelctl {group} {verb}"
            known = {option for options in verbs.values() for option in options}
            yield from (f"creelctl {group}: {option}" for option in re.findall(r"(?<!\S)--[a-z-]+", command.split("| ")[0])
                        if option not in known)


def creel_faults(line):
    for command in re.findall(r"(?<![\w./=-])creel ((?!\|)[^;&`]*)", line):
        words = re.match(r"([a-z][a-z-]*)", command)
        if not words:
            continue
        verb = words[1]
        if verb not in creel_verbs():
            yield f"creel {verb}"
        else:
            options = re.findall(r"(?<!\S)--[a-z-]+", command.split(" -- ")[0].split(" | ")[0].split(" # ")[0])
            text = creel_verbs()[verb]
            yield from (f"creel {verb}: {option}" for option in options if not has(text, option))


def faults(text, here):
    """What the page names that is not there."""
    lines = code(text)
    for line in lines:
        yield from creelctl_faults(line)
        yield from creel_faults(line)
        for option in re.findall(r"(?<!\S)--[a-z-]+", line) if "provision.sh" in line else ():
            if not has(shown(MAN / "creel-provision.8"), option) and option not in line.partition("provision.sh")[0]:
                yield f"provision.sh {option}"
        for section, key in re.findall(r"(?<![\w./@-])([a-z]+)\.([a-z_]+)\b(?![\w./(@-])", line):
            if section in {name.partition(".")[0] for name in keys()} and not re.fullmatch(SUFFIXES, key):
                if f"{section}.{key}" not in keys():
                    yield f"key {section}.{key}"
    sections = "|".join(sorted({name.partition(".")[0] for name in keys()}))
    for section, key in re.findall(rf"\[({sections})\] ([a-z_]+)", text):
        if f"{section}.{key}" not in keys():
            yield f"key [{section}] {key}"
    for path in re.findall(rf"(?<![\w.]){PLACES}[\w./@-]*", text):
        path = re.sub(NAMES, "*", path.rstrip("./"))
        folder = re.sub(r"(/[^/]*\*).*", "", path)
        pattern = re.escape(path).replace(r"\*", r"[\w%<>$\"{}]+")
        if not re.search(pattern, sources()) and not (folder != path and "*" not in folder and path.endswith("/*") and folder in sources()):
            yield f"path {path}"
    for unit in re.findall(r"\bcreel-[a-z]+@?(?:UID|NAME)?\.(?:service|socket|timer)", text):
        if not (ROOT / "units" / (re.sub("@(UID|NAME)", "@", unit) + ".in")).exists():
            yield f"unit {unit}"
    for page, section in re.findall(r"\b((?:pam_)?creel[a-z.-]*)\(([1-8])\)", text):
        if not (MAN / f"{page}.{section}").exists():
            yield f"{page}({section})"
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", text):
        if ":" in target:
            continue
        there = (here.parent / target) if target else here
        if not there.exists():
            yield f"link {target}"
        elif anchor:
            titles = re.findall(r"^#+ (.*)$", there.read_text() if target else text, re.M)
            if anchor not in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]:
                yield f"link {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_is_there(page):
    assert sorted(set(faults(page.read_text(), page))) == []


WRONG = """
`creelctl agents list`, `creelctl agent ad bob`, `creelctl agent list --jsn`, `creel rum`, `creel run --lnag x`, `limits.memry=1G`, [exec] memry,
`/etc/creel/creel.cnf`, `creel-metric.timer`, creel-keper(8), [x](nowhere.md), [y](#nowhere), `provision.sh --dry`
"""


def test_the_check_finds_what_is_wrong():
    assert len(set(faults(WRONG, DOCS / "x.md"))) == 13
    right = "`creelctl agent list --json`, `creel run - --lang bash`, `limits.memory=1G`, `/etc/creel/agents/bob.conf`, creel(7)"
    assert list(faults(right, DOCS / "x.md")) == []


def test_the_list_of_documents_is_whole():
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES if page.parent == DOCS and f"(docs/{page.name})" not in readme] == []


# ---- manual pages ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", sorted(MAN.iterdir()), ids=lambda page: page.name)
def test_a_manual_page_is_well_formed(page):
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""})
    assert done.stderr == ""
    assert any(path.endswith(f"/{page.name}") for path in installed()), "it is installed"
    for name, section in re.findall(r"^\.Xr ((?:pam_)?creel[a-z.-]*) ([0-9])", page.read_text(), re.M):
        assert (MAN / f"{name}.{section}").exists(), f"{name}({section})"


def test_what_is_installed_stands_in_creel_7():
    text = shown(MAN / "creel.7")
    units = "/usr/lib/systemd/system/"
    for path in installed():
        folder, name = path.rsplit("/", 1)
        alone = sum(other.endswith(f"/{name}") for other in installed()) == 1
        if "/share/man/" not in path:
            assert path in text or (path.startswith(units) and path[len(units):] in text) or (alone and name in text), path
        elif name != "creel.7":
            assert re.search(rf"\b{re.escape(name[:-2])}\({name[-1]}\)", text), f"{name}: a reader of creel(7) finds it"


def test_verbs_of_creelctl_stand_in_its_page():
    text = shown(MAN / "creelctl.8")
    for group, verbs in creelctl_verbs().items():
        for verb, options in verbs.items():
            assert not group or group in ("help",) or re.search(rf"{group} (?:[a-z]+ ?\| ?)*{verb}", text), f"{group} {verb}"
            assert [option for option in options if not has(text, option)] == [], f"{group} {verb}"


@pytest.mark.parametrize("verb", ["check", "cron", "doctor", "exec-server", "history", "job", "limits", "logs", "mcp", "ps", "render", "run",
                                  "screen", "secret", "serve", "service", "sessions", "status", "stop"])
def test_options_of_creel_stand_in_its_pages(verb):
    text = "\n".join(shown(page) for page in sorted(MAN.glob("creel*.[17]")))
    asked = output(CREEL, verb, "--help")
    for word in re.findall(rf"^  creel {verb} ([a-z]+)", asked, re.M):
        asked += output(CREEL, verb, word, "--help")
        assert re.search(rf"\b{verb} (?:[a-z]+ ?\| ?)*{word}\b", text), f"creel {verb} {word}"
    assert [option for option in sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", asked))) if not has(text, option)] == []


def test_each_verb_is_looked_at():
    marks = test_options_of_creel_stand_in_its_pages.pytestmark
    assert sorted(marks[0].args[1]) == sorted(set(creel_verbs()) - {"help"})


def test_keys_of_policies_stand_in_creel_conf():
    text = (MAN / "creel.conf.5").read_text()
    for key in keys():
        section, _, name = key.partition(".")
        assert f".Ss [{section}]" in text and re.search(rf"^\.It Cm {name}\b", text, re.M), key
