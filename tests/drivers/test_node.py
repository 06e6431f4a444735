# SPDX-License-Identifier: MIT
"""The driver of JavaScript and TypeScript sessions, through its protocol. CREEL_NODE names a Node 22 where `node` is older."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import DRIVERS

NODE = os.environ.get("CREEL_NODE") or shutil.which("node") or "node"


def version():
    try:
        text = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    except OSError:
        return 0, 0
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


pytestmark = pytest.mark.skipif(version() < (22, 13), reason="no Node 22.13 here")


@pytest.fixture
def node(sessions):
    return sessions(NODE, "--disable-warning=ExperimentalWarning", DRIVERS / "node-repl.cjs", "javascript")


@pytest.fixture
def typescript(sessions):
    return sessions(NODE, "--disable-warning=ExperimentalWarning", DRIVERS / "node-repl.cjs", "typescript")


def test_state_stays_and_a_last_expression_is_shown(node):
    assert node("let x = 41; const y = 1; function f() { return x + y }; class A {}") == ("o", 0, "", "", "")
    assert node("f()").out == "42\n"
    assert node("_ + 1").out == "43\n"
    assert node("const y = 2; f()").out == "43\n"
    assert node("({a: [1, 'b']})").out == "{ a: [ 1, 'b' ] }\n"
    assert node("console.log('a'); -0").out == "a\n-0\n"
    assert node("10n").out == "10n\n"
    assert node("null").out == "null\n"
    assert node("undefined").out == ""
    assert node("x", flags=0).out == ""
    assert node("new A() instanceof A && [] instanceof Array && new (require('events'))() instanceof Object").out == "true\n"
    assert node("try { require('fs').readFileSync('/no') } catch (e) { e instanceof Error }").out == "true\n"
    assert node("") == node("// nothing") == ("o", 0, "", "", "")


def test_await_and_modules(node, tmp_path):
    (tmp_path / "own.mjs").write_text("export const value = 5; export default 6;\n")
    (tmp_path / "own.cjs").write_text("module.exports = 7;\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.cjs").write_text("module.exports = 8;\n")
    assert node("await new Promise((done) => setTimeout(() => done(7), 20))").out == "7\n"
    assert node("(await import('node:fs')).constants.R_OK").out == "4\n"
    assert node("const m = await import('./own.mjs'); m.value").out == "5\n"
    assert node("require('./own.cjs')").out == "7\n"
    assert node("process.chdir('sub')").status == "o"
    assert node("require('./own.cjs')").out == "8\n"
    done = node("import os, { EOL,\n  tmpdir as t } from 'node:os';\nimport * as path from \"path\"\nimport d from '../own.mjs'\n"
                "[typeof os.cpus, EOL, typeof t, path.sep, d]")
    assert done.out == "[ 'function', '\\n', 'function', '/', 6 ]\n", done
    assert node("import '../own.mjs'; typeof os").out == "'object'\n"
    # a word is no import
    for text in ("'import(1)'", "`import(${1}) ${'import(2)'}`", "/import(1)/.source", "({import: 1}).import", "/* import(1) */ 5",
                 "`a ${ {b: `import(${2})`}.b } c`", "1 / 2 // import(3)", "[/[/]import('x')/.source, 4 / 2 / 1]"):
        assert node(f"{text} + ''").out.replace("$mport", "") == node(f"eval({text!r} + \" + ''\")").out, text


def test_errors_have_the_codes_place_and_none_of_ours(node):
    done = node("const z = 1;\nnull.x", label="script.js")
    assert (done.status, done.error) == ("e", "TypeError: Cannot read properties of null (reading 'x')")
    assert "at script.js:2:6" in done.err and "node-repl" not in done.err and "node:" not in done.err
    done = node("let a = 1;\nlet z = ;")
    assert done.error == "SyntaxError: Unexpected token ';'" and "<run>:2\nlet z = ;\n        ^\n" in done.err
    assert "node-repl" not in done.err and "node:" not in done.err, done.err
    done = node("await null; throw new RangeError('later')")
    assert done.error == "RangeError: later" and "node-repl" not in done.err
    assert node("throw 5").error == "Uncaught 5"
    assert node("throw null").error == "Uncaught null"
    assert node("throw {get stack() { throw 1 }}").status == "e"
    assert node("({[Symbol.for('nodejs.util.inspect.custom')]() { throw new Error('no') }})").error == "Error: no"
    assert node("import(").status == node("`${").status == node("/*").status == node("'").status == "e"
    assert node("await import('./missing.mjs')").error.startswith("Error: Cannot find module")
    assert len(node("throw new Error('é'.repeat(9000))").error.encode()) <= 4096
    assert node("1").out == "1\n"


def test_what_nobody_waits_for(node):
    assert node("Promise.reject(new Error('lost')); setTimeout(() => { throw new Error('timer') }, 10); 1").status == "o"
    done = node("await new Promise((done) => setTimeout(done, 100))")
    assert done.status == "o" and "Error: timer" in done.err + node("1").err


def test_an_interrupt_keeps_the_state(node):
    node("let x = 1")
    # once the code waits: in the moment before, a signal ends the process (node-repl.cjs)
    for code in ("console.log('ready'); while (true) {}", "setTimeout(() => console.log('ready'), 50); await new Promise(() => {})",
                 "setTimeout(() => console.log('ready'), 50); for (;;) { await null; await new Promise((d) => setTimeout(d, 1)) }"):
        node.begin(code)
        node.wait_for("ready")
        node.interrupt()
        done = node.finish()
        assert done.status == "i", (code, done)
    node.interrupt()
    assert node("x").out == "1\n"
    # listeners of the code's do not take ours away
    assert node("process.removeAllListeners('SIGINT'); 1").out == "1\n"
    node.begin("setTimeout(() => console.log('ready'), 50); await new Promise(() => {})")
    node.wait_for("ready")
    node.interrupt()
    assert node.finish().status == "i" and node("x").out == "1\n"


def test_much_code_and_much_output(node):
    assert node("x = '" + "a" * (10 << 20) + "'; x.length").out == f"{10 << 20}\n"
    done = node("process.stdout.write('o'.repeat(3e6)); process.stderr.write('e'.repeat(1e6)); 1")
    assert (len(done.out), len(done.err)) == (3 * 10**6 + 2, 10**6)


def test_output_is_whole_after_an_interrupt(node):
    for _ in range(5):
        node.begin("console.log('ready'); while (true) console.log('x'.repeat(1000))")
        node.wait_for("ready")
        node.interrupt()
        assert node.finish().status == "i"
        assert node("process.stdout.write('a'); process.stderr.write(Buffer.from('b')); console.error('c')") == ("o", 0, "", "a", "bc\n")
    done = node("require('stream').Readable.from(['p', 'q']).pipe(process.stdout); await new Promise((d) => setTimeout(d, 50))")
    assert done.out == "pq", done


def test_programs_have_no_third_descriptor(node):
    assert node("require('child_process').execSync('ls /proc/self/fd').toString().split('\\n').join()").out == "'0,1,2,3,'\n"


def test_a_process_that_ends_itself(node):
    assert node("console.log('last'); process.exit(3)") is None
    assert node.wait() == 3


def test_typescript(typescript):
    assert typescript("interface P { name: string }\nlet p: P = { name: 'a' }; p.name as string").out == "'a'\n"
    assert typescript("const f = (x: number): number => x + 1; f(1)").out == "2\n"
    assert typescript("import type { Stats } from 'node:fs'; import { sep } from 'node:path'; sep").out == "'/'\n"
    assert typescript("enum E { A = 3 }\nnamespace N { export const x = E.A }").status == "o"
    assert typescript("const e: E = E.A; e + N.x").out == "6\n"
    done = typescript("let a = 1\n\nconst x: number = ;")
    assert (done.status, done.error) == ("e", "SyntaxError: Expression expected"), done
    assert ":3\n" in done.err and "const x: number = ;\n                  ^\n" in done.err and done.err.count("    at ") == 0, done
    assert typescript("let = : 5").status == "e"
    assert typescript("p.name").out == "'a'\n"


def test_a_run_says_where_it_is_no_typescript():
    code = os.memfd_create("code")
    os.write(code, b"enum E { A }\n\nconst x: number = ;\n")
    os.lseek(code, 0, os.SEEK_SET)
    done = subprocess.run(["/bin/bash", "-c", f'exec "$@" 3<&{code}', "bash", NODE, DRIVERS / "node-run.cjs", "typescript", "a.ts"],
                          pass_fds=[code], capture_output=True, text=True, timeout=60, check=False)
    os.close(code)
    assert done.returncode == 1 and done.stderr.startswith("a.ts:3\n"), done
    assert done.stderr.endswith("const x: number = ;\n                  ^\n\nSyntaxError: Expression expected\n"), done
