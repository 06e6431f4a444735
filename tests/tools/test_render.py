# SPDX-License-Identifier: MIT
"""creel render: results, hostile ones among them, as messages. What a message must never be is asked in tests/unit/test_render.c,
by a model of each channel; here whole messages are compared with what they were when somebody looked at them:

  render/NAME.json          a result
  render/NAME.CHANNEL       its message
"""

import json
import pathlib

import pytest

from conftest import CREEL
import subprocess

FOLDER = pathlib.Path(__file__).parent / "render"
CHANNELS = {"discord": 2000, "telegram": 4096, "slack": 4000, "whatsapp": 65536, "plain": None}
RESULTS = sorted(path.stem for path in FOLDER.glob("*.json"))


def render(*arguments, text=b"", status=0):
    done = subprocess.run([CREEL, "render", *map(str, arguments)], input=text, capture_output=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr.decode()


def rendered(result, channel, *arguments):
    return render("--channel", channel, *arguments, text=json.dumps(result).encode()).decode()


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", RESULTS)
def test_messages(name, channel):
    message = render("--channel", channel, FOLDER / f"{name}.json")
    assert message == (FOLDER / f"{name}.{channel}").read_bytes()
    assert message == render("--channel", channel, text=(FOLDER / f"{name}.json").read_bytes())
    # what is sent is without the last end of line
    if CHANNELS[channel] and channel != "telegram":
        assert len(message.decode()[:-1].encode("utf-16-le")) // 2 <= CHANNELS[channel]


def test_code_and_its_language(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("print('```')\n")
    message = rendered({"stdout": "```\n"}, "discord", "--code", code, "--lang", "python")
    assert message.startswith("```python\nprint('``\u200b`')\n```\noutput:\n```\n``\u200b`\n```")
    message = rendered({"stdout": "x"}, "telegram", "--code", code, "--lang", "c++")
    assert message.startswith('<pre><code class="language-c++">print(')
    for language in ("", "a b", 'x">', "python\n", "x" * 33):
        assert "usage" in render("--channel", "discord", "--code", code, "--lang", language, status=2)
    assert "usage" in render("--channel", "discord", "--lang", "python", status=2)


def test_full_output_is_kept_where_something_is_left_out(tmp_path):
    full = tmp_path / "full.txt"
    message = rendered({"stdout": "short"}, "discord", "--full", full)
    assert not full.exists() and "full output" not in message
    text = "x\u202e" * 3000
    message = rendered({"stdout": text, "stderr": "bad"}, "discord", "--full", full)
    assert f"view full output: `{full}`" in message
    assert full.read_text() == text + "\n--- stderr ---\nbad"
    assert full.stat().st_mode & 0o777 == 0o600
    # not through a link, and not where the result's own file has more
    link = tmp_path / "link"
    link.symlink_to(full)
    assert "link" in render("--channel", "discord", "--full", link, text=json.dumps({"stdout": text}).encode(), status=1)
    spilled = {"stdout": text, "truncated": {"stdout": {"bytes": 10**9, "file": "/home/a/run-1.stdout"}}}
    other = tmp_path / "other"
    assert "view full output: `/home/a/run-1.stdout`" in rendered(spilled, "discord", "--full", other)
    assert not other.exists()


@pytest.mark.parametrize(
    "text, why",
    [
        (b"", "no JSON"),
        (b"[1", "no JSON"),
        (b"[1]", "`result` is no object"),
        (b'{"stdout": 1}', "`stdout` is no string"),
        (b'{"files": {}}', "`files` is no array"),
        (b'{"files": [1]}', "`files` is no array of objects"),
        (b'{"files": [{"name": "x", "bytes": -1}]}', "`bytes` is no number of bytes"),
        (b'{"truncated": "yes"}', "`truncated` is no object"),
        (b'{"truncated": {"stdout": 1}}', "`stdout` is no object"),
        (b'{"stdout": "a", "stdout": "b"}', "`stdout` stands twice"),
        (b'{"stdout": ' + b"[" * 1000 + b"]" * 1000 + b"}", "nested deeper"),
        (b'{"stdout": "\\u12"}', "no JSON"),
        (b"{}", "no result: it has neither"),
        (b'{"id": 1, "result": {"stdout": "a"}}', "no result: it has neither"),
    ],
)
def test_what_is_no_result(text, why):
    assert why in render("--channel", "plain", text=text, status=1)


def test_usage():
    for arguments in ((), ("--channel", "irc"), ("--channel", "slack", "a", "b"), ("--channel",), ("--bold",)):
        assert "usage: creel render" in render(*arguments, status=2)
    assert "No such file" in render("--channel", "slack", "/nonexistent.json", status=1)
