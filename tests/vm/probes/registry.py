#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A registry for pip and for npm on 127.0.0.1:4873, with packages that it makes itself. Prints a line once it listens.

tiny 1.0, 1.5, 2.0 (its wheel is pure), big 1.0 which needs tiny; left 1.0.0, 1.1.0 (which needs right ^2.0.0), 2.0.0, right 2.0.0,
2.1.0. A module's `version`, and what a package exports, is its version.
"""

import base64
import hashlib
import http.server
import io
import json
import tarfile
import zipfile

ADDRESS = ("127.0.0.1", 4873)
URL = "http://%s:%d" % ADDRESS
WHEELS = {"tiny": {"1.0": "", "1.5": "", "2.0": ""}, "big": {"1.0": "tiny"}}
NPM = {"left": {"1.0.0": {}, "1.1.0": {"right": "^2.0.0"}, "2.0.0": {}}, "right": {"2.0.0": {}, "2.1.0": {}}}


def wheel(name, version, needs):
    made, info = io.BytesIO(), f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(f"{name}.py", f"version = '{version}'\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: creel\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return made.getvalue()


def tarball(name, version, needs):
    made = io.BytesIO()
    package = {"name": name, "version": version, "main": "index.js", "dependencies": needs}
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, text in (("package.json", json.dumps(package)), ("index.js", f"module.exports = '{version}'\n")):
            member = tarfile.TarInfo("package/" + path)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def files():
    """What is answered, by path."""
    found = {}
    for name, versions in WHEELS.items():
        names = [f"{name}-{version}-py3-none-any.whl" for version in versions]
        links = "".join(f"<a href='/files/{each}'>{each}</a>" for each in names)
        found[f"/simple/{name}/"] = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        for version, needs in versions.items():
            found[f"/files/{name}-{version}-py3-none-any.whl"] = wheel(name, version, needs)
    for name, versions in NPM.items():
        described = {}
        for version, needs in versions.items():
            path, data = f"/{name}/-/{name}-{version}.tgz", tarball(name, version, needs)
            found[path] = data
            integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
            described[version] = {"name": name, "version": version, "dependencies": needs,
                                  "dist": {"tarball": URL + path, "integrity": integrity}}
        found[f"/{name}"] = json.dumps({"name": name, "versions": described,
                                        "dist-tags": {"latest": max(versions)}}).encode()
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    known = files()

    def do_GET(self):
        data = self.known.get(self.path)
        if data is None:
            return self.send_error(404)
        self.send_response(200)
        if self.path.startswith("/simple/"):
            self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(ADDRESS, Handler)
    print("ready", flush=True)
    server.serve_forever()
