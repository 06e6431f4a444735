// SPDX-License-Identifier: MIT
// A JavaScript or TypeScript session (Node >= 22.13): runs in the process whose state it keeps, as the agent, and answers the
// keeper on descriptor 3. The frames are those of python-repl.py.
//
//   node node-repl.cjs javascript|typescript[-scripts]      -scripts: no `import` statements
//
// Code is evaluated by V8's own mode for that, which its inspector offers: names stay and may be declared again, `await` needs
// no function around it, the value of the last expression comes back. It has no `import`: those are rewritten to a function
// and `await` of it, which moves no line and, but for the statements themselves, no column.
//
// SIGINT interrupts code that runs, and what is awaited; code that runs after an `await` and never waits again hears nothing,
// and is ended by the keeper. In the moment when code begins to wait, Node itself has no handler: a signal that comes right
// then ends the session. Between calls timers and servers go on.
'use strict';
const { Session } = require('node:inspector');
const { createRequire, stripTypeScriptTypes } = require('node:module');
const { Socket } = require('node:net');
const { Writable } = require('node:stream');
const { writeSync } = require('node:fs');
const { inspect } = require('node:util');
const vm = require('node:vm');

const ECHO = 2;
const ERROR_MAX = 4096;
const HOOK = '$creel'; // how code that the inspector runs reaches this file
const MAIN = 1; // the inspector's number of the only context that it may use here
const IMPORT = '$mport'; // as long as the word that it stands for
const typescript = process.argv[2].startsWith('typescript');
const modules = !process.argv[2].endsWith('-scripts');
const session = new Session();
const channel = new Socket({ fd: 3, readable: true, writable: true });
let current = null; // the call that is being served
let directory = null;

// ---- output -------------------------------------------------------------------------------------------------------

const moment = new Int32Array(new SharedArrayBuffer(4));

function writeAll(fd, bytes) {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(moment, 0, 0, 1); // a program that has the pipe, too, made it so
    }
  }
}

// Node's own streams keep books of what they write: code that is interrupted in between leaves them waiting for ever.
class Output extends Writable {
  constructor(fd) {
    super();
    this.fd = fd;
    this._type = 'pipe';
  }

  write(chunk, encoding, done) {
    const callback = typeof encoding === 'function' ? encoding : done;
    if (typeof chunk === 'string') writeAll(this.fd, Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8'));
    else if (ArrayBuffer.isView(chunk)) writeAll(this.fd, Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    else throw new TypeError('a chunk is a string or bytes');
    if (callback) process.nextTick(callback);
    return true;
  }

  end(chunk, encoding, done) {
    const callback = [chunk, encoding, done].find((each) => typeof each === 'function');
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') this.write(chunk, encoding);
    if (callback) process.nextTick(callback);
    return this;
  }

  destroy() {
    return this;
  }
}

for (const [name, fd] of [['stdout', 1], ['stderr', 2]])
  Object.defineProperty(process, name, { value: new Output(fd), writable: true, configurable: true, enumerable: true });
const { stdout, stderr } = process;

function send(type, ...parts) {
  const payload = Buffer.concat(parts);
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(payload.length, 1);
  channel.write(Buffer.concat([head, payload]));
}

// ---- imports ------------------------------------------------------------------------------------------------------

// Where `import` stands in the code itself, not in a string, a comment, a regular expression or the text of a template.
function findImports(code) {
  const token = /\/\/.*|\/\*[^]*?\*\/|'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"|[`{}]|[\w$\u0080-\uffff]+|\/|[^\s]/gy;
  const space = /\s+/gy;
  const text = /(?:[^`\\$]|\\[^]|\$(?!\{))*(?:`|\$\{)/y;
  const found = [];
  const braces = []; // true: of a template
  let at = 0, before = '', beforeDot = false;

  function skip(pattern) {
    pattern.lastIndex = at;
    const match = pattern.exec(code);
    if (match) at = pattern.lastIndex;
    return match && match[0];
  }
  function template() {
    if (skip(text)?.endsWith('{')) braces.push(true);
  }
  while (at < code.length) {
    if (skip(space)) continue;
    const start = at, word = skip(token);
    if (!word) { at++; continue; }
    if (word.startsWith('//') || word.startsWith('/*')) continue;
    if (word === '`') { template(); before = '`'; continue; }
    if (word === '{') braces.push(false);
    if (word === '}' && braces.pop()) { template(); before = '`'; continue; }
    if (word === '/' && (!before || /^(?:[=(,;:!&|?{}+\-*%<>~^[]|return|typeof|case|in|of|do|else|void|delete|throw|await)$/.test(before)))
      skip(/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])*\/[a-z]*/y);
    if (word === 'import' && before !== '.') found.push({ start, top: braces.length === 0 });
    before = word;
  }
  return found;
}

const STATEMENT = /import\s*(?:(?:([\w$]+)\s*(?:,\s*)?)?(?:(\*\s*as\s+[\w$]+)|(\{[^}]*\}))?\s*from\s*)?(["'])((?:(?!\4).)*)\4\s*(?:(?:with|assert)\s*(\{[^}]*\}))?/y;

function rewriteStatement(match) {
  const [all, name, star, braces, quote, specifier, attributes] = match;
  const load = `await ${IMPORT}(${quote}${specifier}${quote}${attributes ? `,{with:${attributes}}` : ''});`;
  const lines = '\n'.repeat(all.split('\n').length - 1);

  if (!name && !star && !braces) return load + lines;
  if (star && !name) return `const ${star.replace(/\*\s*as\s+/, '')} = ${load}${lines}`;
  if (star) return `const ${star.replace(/\*\s*as\s+/, '')} = ${load} const {default: ${name}} = ${star.replace(/\*\s*as\s+/, '')};${lines}`;
  const names = braces ? braces.slice(1, -1).replace(/\s+as\s+/g, ': ').replace(/\n/g, ' ') : '';
  return `const {${[name && `default: ${name}`, names].filter(Boolean).join(', ')}} = ${load}${lines}`;
}

function rewriteImports(code) {
  let result = '', at = 0;

  if (!code.includes('import')) return code;
  for (const { start, top } of findImports(code)) {
    if (start < at) continue;
    STATEMENT.lastIndex = start;
    const statement = modules && top && STATEMENT.exec(code);
    if (statement) {
      result += code.slice(at, start) + rewriteStatement(statement);
      at = STATEMENT.lastIndex;
    } else if (/^import\s*\(/.test(code.slice(start, start + 256))) {
      result += code.slice(at, start) + IMPORT;
      at = start + 6;
    }
  }
  return result + code.slice(at);
}

// Modules and programs are found from where the session is now.
function settle() {
  const now = process.cwd();

  if (now === directory) return;
  directory = now;
  hide('require', createRequire(`${now}/`));
  hide(IMPORT, new vm.Script('(name, options) => import(name, options)', {
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }).runInThisContext());
}

function hide(name, value) {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

// ---- errors -------------------------------------------------------------------------------------------------------

// A stack ends where this file begins.
function ownFrames(stack) {
  const lines = stack.split('\n');
  const first = lines.findIndex((line) => line.startsWith('    at ') &&
    (line.includes('Session.post (node:inspector') || line.includes(__filename)));
  return first < 0 ? stack : lines.slice(0, first).join('\n');
}

function tell(text) {
  try {
    stderr.write(text);
  } catch { /* the code closed it */ }
}

function describe(error, details, code, label) {
  let place = '';

  try {
    if (error instanceof Error && typeof error.stack === 'string') error.stack = ownFrames(error.stack);
  } catch { /* frozen */ }
  // code that could not even begin has no frame, and the inspector no name for it
  if (error instanceof SyntaxError && details && details.url === undefined && !/\n {4}at /.test(error.stack)) {
    const source = code.split('\n')[details.lineNumber];
    if (source !== undefined && source.length < 1000)
      place = `${label}:${details.lineNumber + 1}\n${source}\n${' '.repeat(details.columnNumber)}^\n\n`;
  }
  let text;
  try {
    if (!(error instanceof Error)) text = `Uncaught ${inspect(error)}`;
    else text = /\n {4}at /.test(error.stack) || !error.stack ? inspect(error) : `${error.stack}`;
  } catch {
    text = 'Uncaught error that cannot be shown';
  }
  tell(`${place}${text}\n`);
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : text;
  } catch {
    return text;
  }
}

// ---- one call -----------------------------------------------------------------------------------------------------

// The value that the inspector only describes.
function fetchValue({ type, subtype, objectId, unserializableValue, value }) {
  let got;

  if (type === 'undefined') return undefined;
  if (subtype === 'null') return null;
  if (!objectId && unserializableValue === undefined) return value;
  hide(HOOK, (fetched) => { got = fetched; });
  session.post('Runtime.callFunctionOn', {
    functionDeclaration: `function(v) { globalThis.${HOOK}(v); }`,
    executionContextId: MAIN,
    arguments: [objectId ? { objectId } : { unserializableValue }],
  });
  return got;
}

function finish(call, status, value, error) {
  if (call !== current) return;
  current = null;
  session.post('Runtime.releaseObjectGroup', { objectGroup: 'call' });
  const text = new Uint8Array(ERROR_MAX);
  const { written } = new TextEncoder().encodeInto(error, text); // whole characters
  send('D', Buffer.from(status), Buffer.from([value]), text.subarray(0, written));
}

function answer(call, failure, reply) {
  if (call !== current) return;
  if (failure) {
    if (/terminated/.test(failure.message)) finish(call, 'i', 0, 'interrupted');
    else finish(call, 'e', 1, String(failure.message));
    return;
  }
  const value = fetchValue(reply.result);
  if (reply.exceptionDetails) {
    finish(call, 'e', 1, describe(value, reply.exceptionDetails, call.code, call.label));
    return;
  }
  if (value !== undefined) {
    hide('_', value);
    if (call.flags & ECHO) {
      try {
        stdout.write(`${inspect(value)}\n`);
      } catch (error) {
        finish(call, 'e', 1, describe(error));
        return;
      }
    }
  }
  finish(call, 'o', 0, '');
}

// Types become blanks, so that lines and columns stay; what only a transformation can express (enum, namespace) loses its columns.
// An error has the place that Node puts in front of it, and no frame.
function withoutTypes(code, label, options) {
  try {
    return stripTypeScriptTypes(code, options);
  } catch (error) {
    if (!options && error.code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX') return withoutTypes(code, label, { mode: 'transform' });
    const place = /^(:\d+\n[^]{0,2000}?\n\n)SyntaxError/.exec(error.stack)?.[1];
    error.stack = `${place ? label + place : ''}${error.name}: ${error.message}`;
    throw error;
  }
}

function perform(call) {
  process.removeListener('SIGINT', onInterrupt);
  process.on('SIGINT', onInterrupt);
  settle();
  let expression = call.code;
  try {
    if (typescript) expression = withoutTypes(expression, call.label);
    expression = rewriteImports(expression);
  } catch (error) {
    finish(call, 'e', 1, describe(error));
    return;
  }
  hide(HOOK, () => session.post('Runtime.evaluate', {
    expression: `${expression}\n//# sourceURL=${call.label}`,
    replMode: true,
    objectGroup: 'call',
  }, (failure, reply) => answer(call, failure, reply)));
  try {
    enter.runInThisContext({ breakOnSigint: true });
  } catch (error) {
    if (error?.code !== 'ERR_SCRIPT_EXECUTION_INTERRUPTED') throw error;
    call.interrupted = true;
    finish(call, 'i', 0, 'interrupted');
  }
}

function onInterrupt() {
  if (!current) return;
  current.interrupted = true;
  finish(current, 'i', 0, 'interrupted');
}

// ---- the protocol -------------------------------------------------------------------------------------------------

let parts = [], bytes = 0;

function receive(data) {
  parts.push(data);
  bytes += data.length;
  if (bytes < 5) return;
  if (parts[0].length < 5) parts = [Buffer.concat(parts)];
  const wanted = 5 + parts[0].readUInt32BE(1);
  if (bytes < wanted) return;
  // one call at a time: nothing follows a frame before its answer
  const frame = Buffer.concat(parts);
  if (frame[0] !== 0x52 || bytes > wanted || current) process.reallyExit(1);
  parts = [];
  bytes = 0;
  const end = frame.indexOf(0, 6);
  current = {
    flags: frame[5],
    // a name that V8 takes has neither spaces nor quotes
    label: (frame.toString('utf8', 6, end) || '<run>').replace(/[\s'"]/g, '_'),
    code: frame.toString('utf8', end + 1),
    interrupted: false,
  };
  perform(current);
}

const enter = new vm.Script(`globalThis.${HOOK}()`, { filename: __filename });

session.connect();
process.argv = [process.argv[0], ''];
hide('module', { exports: {} });
hide('exports', globalThis.module.exports);
// of a timer or a promise that nobody waits for: told, and no reason to end
process.on('uncaughtException', (error) => { describe(error); });
process.on('SIGINT', onInterrupt);
channel.on('data', receive);
channel.on('close', () => process.reallyExit(0));
send('H');
