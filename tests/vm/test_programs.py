# SPDX-License-Identifier: MIT
"""What agents run most works under the filter and Landlock as it is: Node, npm, a browser, ffmpeg; at a login and in a service."""

import pytest

PATH = "PATH=/opt/node/bin:$PATH"
WAYS = {"login": "", "service": "systemd-run --user -q --wait --pipe --same-dir -E PATH "}

NODE = """
const { Worker } = require('worker_threads'), http = require('http'), fs = require('fs'), crypto = require('crypto');
const { execFileSync } = require('child_process');
fs.writeFileSync('written', crypto.randomBytes(4096));
fs.watch('.').close();
const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
worker.on('message', (answer) => {
  const server = http.createServer((request, response) => response.end('served')).listen(0, '127.0.0.1', () => {
    http.get({ port: server.address().port }, (response) => response.on('data', (text) => {
      console.log(process.version.split('.')[0], answer, String(text), String(execFileSync('echo', ['born'])).trim());
      server.close();
    }));
  });
});
"""

PAGE = "<body><script>document.body.textContent = 'made by ' + [6, 7].reduce((a, b) => a * b)</script></body>"


def folder(vm, **files):
    """A fresh one of the agent's, with these files in it."""
    made = vm.agent.sh("mktemp -d ~/programs-XXXXXX")
    for name, text in files.items():
        vm.agent.sh(f"cat > {made}/{name.replace('_', '.')}", text)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_node(vm, way):
    where = folder(vm, main_js=NODE)
    out = vm.agent.sh(f"cd {where} && export {PATH} && {WAYS[way]}node main.js", timeout=240)
    assert out == "v22 42 served born"


@pytest.mark.parametrize("way", WAYS)
def test_npm(vm, way):
    where = folder(vm, package_json='{"name": "outer", "version": "1.0.0", "scripts": {"say": "node -p 6*7"}}')
    vm.agent.sh(f"mkdir {where}/inner && cat > {where}/inner/package.json",
                '{"name": "inner", "version": "1.0.0", "scripts": {"postinstall": "echo done > ../built"}}')
    script = "npm install --no-audit --no-fund --offline ./inner >&2 && npm run -s say && cat built && ls node_modules"
    out = vm.agent.sh(f"cd {where} && export {PATH} && {WAYS[way]}sh -c '{script}'", timeout=280)
    assert out.split() == ["42", "done", "inner"]


@pytest.mark.parametrize("way", WAYS)
def test_browser_without_its_own_sandbox(vm, way):
    where = folder(vm, page_html=PAGE)
    out = vm.agent.sh(f"cd {where} && {WAYS[way]}chromium-headless-shell --no-sandbox --disable-gpu --dump-dom "
                      f"--user-data-dir={where}/profile file://{where}/page.html", timeout=280)
    assert "made by 42" in out


@pytest.mark.parametrize("way", WAYS)
def test_ffmpeg(vm, way):
    where = folder(vm)
    vm.agent.sh(f"cd {where} && {WAYS[way]}ffmpeg -v error -f lavfi -i testsrc=duration=1:size=64x48:rate=5 "
                "-f lavfi -i sine=duration=1 -y out.mkv", timeout=240)
    out = vm.agent.sh(f"ffprobe -v error -show_entries stream=codec_type -of csv=p=0 {where}/out.mkv", timeout=120)
    assert sorted(out.split()) == ["audio", "video"]
