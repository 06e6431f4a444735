# SPDX-License-Identifier: MIT
"""What agents have learned to write about files, databases, pictures and repositories, as it was written for them; and FastAPI."""

import json

import pytest

from harness import wait_until
from living_blocks import SLOW, block, put, typed
from outside import HERE, outside  # noqa: F401

PLACE = "~/blocks"


@pytest.fixture(scope="module", autouse=True)
def place(vm):
    vm.agent.sh(f"mkdir {PLACE}")
    yield
    vm.agent("rm -rf ~/blocks ~/project ~/remote.git ~/seed ~/data/* ~/output/*")


def python(vm, name, before=""):
    """A block, as a script in a folder of its own."""
    vm.agent.sh(f"cat > {PLACE}/{name}", block(name))
    return vm.agent(f"cd {PLACE} && {before} python3 {name}", timeout=SLOW)


def test_sqlite(vm):
    done = python(vm, "sqlite.py").ok()
    assert done.text.startswith("[{'id': 1, 'name': 'test', 'data': '{\"key\": \"value\"}', 'created_at': ")
    assert vm.agent.sh("sqlite3 ~/data/app.db 'select count(*) from records'") == "1"


def test_postgresql_says_that_there_is_no_server(vm):
    """No server here, and the document's `host` is nobody: the client library is there and says so."""
    done = python(vm, "postgres.py")
    assert done.rc == 1 and 'psycopg2.OperationalError: could not translate host name "host" to address' in done.errors, done


def test_json_and_csv_and_xml(vm):
    vm.agent.sh(f"cd {PLACE} && echo '{{\"version\": \"1.0\", \"a\": [1]}}' > config.json && "
                "printf 'id,name,value\\n1,a,2\\n2,\"b,c\",3\\n' > input.csv && "
                "echo '<r><item><name>n</name><value>v</value></item></r>' > data.xml")
    python(vm, "json-file.py").ok()
    assert json.loads(vm.agent.sh(f"cat {PLACE}/config.json")) == {"version": "2.0", "a": [1]}
    python(vm, "csv-file.py").ok()
    assert vm.agent.sh(f"tr -d '\\r' < {PLACE}/output.csv") == 'id,name,value\n1,a,2\n2,"b,c",3'
    assert python(vm, "xml-file.py").ok().text == "n: v"


def test_excel(vm):
    """What it writes is also what it reads next."""
    vm.agent.sh(f"cd {PLACE} && python3 -c 'import openpyxl as o; b = o.Workbook(); b.active.append([\"h\"]); "
                "b.active.append([1, 2]); b.save(\"report.xlsx\")'", timeout=SLOW)
    assert python(vm, "excel.py").ok().text == "(1, 2)"
    assert "spreadsheet" in vm.agent.sh(f"python3 -c 'import zipfile; print(zipfile.ZipFile(\"blocks/output.xlsx\").read("
                                        "\"xl/workbook.xml\")[:200])'")


def test_pictures(vm):
    vm.agent.sh(f"cd {PLACE} && python3 -c 'from PIL import Image as i; i.new(\"RGB\", (1000, 900)).save(\"photo.jpg\"); "
                "i.new(\"RGBA\", (10, 10)).save(\"photo.png\")'", timeout=SLOW)
    python(vm, "picture.py").ok()
    assert vm.agent.sh(f"cd {PLACE} && file -b thumb.jpg photo-resized.jpg photo.jpg watermarked.jpg | grep -o '[0-9]*x[0-9]*, c' | "
                       "cut -d, -f1").split() == ["200x150", "800x600", "10x10", "200x150"]


def test_pandas_and_matplotlib(vm):
    vm.agent.sh(f"mkdir -p ~/output; printf 'date,revenue\\n2026-01-05,1000\\n2026-01-20,500\\n2026-02-01,2500\\n' > ~/data/sales.csv; "
                f"cp ~/data/sales.csv {PLACE}/data.csv")
    done = python(vm, "chart.py").ok()
    assert done.text.splitlines() == ["Total revenue: $4,000.00", "Average order: $1,333.33", "Top month: 2026-02",
                                      "Chart saved to /home/agent/output/revenue-chart.png"]
    assert vm.agent.sh("file -b ~/output/revenue-chart.png").startswith("PNG image data, 1500 x 900")
    assert "Shape: (3, 2)" in python(vm, "summary.py").ok().text


def test_git(vm):
    """GitHub is a repository in the home: `insteadOf` is ours. Nobody set a name or an address for git."""
    vm.agent.sh("git init -q --bare -b main ~/remote.git && git clone -q ~/remote.git ~/seed && cd ~/seed && git checkout -q -b main && "
                "echo 1 > README && git add -A && git commit -q -m first && echo 2 > README && git commit -qam second && "
                "git push -q origin main", timeout=SLOW)
    for url in ("https://github.com/user/repo.git", "https://TOKEN@github.com/user/repo.git"):
        vm.agent.sh(f"git config --global --add url.file:///home/agent/remote.git.insteadOf {url}")
    first, rest = block("git.sh").split("git add -A\n")
    done = typed(vm, f"set -ex\n{first}echo new > thing\ngit add -A\n{rest}")
    assert done.ok().text.count("Add new feature") >= 2 and "+new" in done.text, done
    assert vm.agent.sh("git -C ~/remote.git log --format='%s %an' feature/new-thing -1") == "Add new feature agent"
    vm.agent.sh("git config --global --remove-section url.file:///home/agent/remote.git")


def test_fastapi(vm, outside):  # noqa: F811
    """Two differences: the virtual environment sees Debian's packages, and pip asks nobody, as there is nobody to ask."""
    put(vm, project__api="server.py")
    start = "cd ~/project/api\npython3 -m venv --system-site-packages .venv && source .venv/bin/activate\n" \
            "PIP_NO_INDEX=1 pip install fastapi uvicorn\npython3 server.py > ~/logs/api.log 2>&1 &\necho $! > ~/pids/api.pid\n"
    done = typed(vm, start).ok()
    assert "Requirement already satisfied: fastapi" in done.text
    try:
        wait_until(lambda: vm.agent("curl http://localhost:8000/health").rc == 0, SLOW, "it answers", 2)
        assert vm.agent.sh("curl http://localhost:8000/health") == '{"status":"ok"}'
        away = vm.root.sh("ip netns exec outside curl -s -H 'Content-Type: application/json' "
                          f"-d '{{\"name\": \"n\"}}' http://{HERE}:8000/api/items", timeout=SLOW)
        assert json.loads(away) == {"id": 1, "name": "n", "value": 0.0}
        assert vm.agent.sh("curl -s http://localhost:8000/api/items/2") == '{"detail":"Item not found"}'
    finally:
        vm.agent("kill $(cat ~/pids/api.pid)")
