// SPDX-License-Identifier: MIT
// Executes the JavaScript or TypeScript on descriptor 3 as the script that it would be in the working directory:
//
//   node-run.cjs MODE LABEL [ARGUMENT ...]     MODE: javascript or typescript, with -scripts behind it where ES modules are off
//
// Code is a script (require, module, __filename) unless it can only be an ES module: then it is loaded as one, under an
// address that no file has. Either way it is called from the event loop and not from here, so that no frame of this file's is in
// a stack.
'use strict';

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const url = require('node:url');
const vm = require('node:vm');

const [, , mode, label, ...rest] = process.argv;
const [language, onlyScripts] = mode.split('-');
const file = path.resolve(label);

function giveUp(text) {
	fs.writeSync(2, `${label}: ${text}\n`);
	process.exit(1);
}

// With the place that Node puts in front of what it says of code that is no TypeScript.
function giveUpTypeScript(error) {
	const place = /^(:\d+\n[^]{0,2000}?\n\n)SyntaxError/.exec(error.stack)?.[1] ?? ': ';

	fs.writeSync(2, `${label}${place}SyntaxError: ${error.message}\n`);
	process.exit(1);
}

function readCode() {
	const code = fs.readFileSync(3, 'utf8');

	fs.closeSync(3);
	// a mark of byte order, and the line that names an interpreter: neither is JavaScript inside a function
	return code.replace(/^\uFEFF/, '').replace(/^#!/, '//');
}

// Types become blanks, so that lines and columns stay; what only a transformation can express loses its columns.
function strip(code) {
	if (!Module.stripTypeScriptTypes)
		giveUp('TypeScript needs Node.js 22.13 or later');

	const warn = process.emitWarning;

	process.emitWarning = () => {};
	try {
		return Module.stripTypeScriptTypes(code, { mode: 'strip' });
	} catch (error) {
		if (error.code !== 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX')
			giveUpTypeScript(error);
		try {
			return Module.stripTypeScriptTypes(code, { mode: 'transform', sourceUrl: label });
		} catch (other) {
			giveUpTypeScript(other);
		}
	} finally {
		process.emitWarning = warn;
	}
}

// What V8 says of code that would be right in a module.
const ofModules = [
	'Cannot use import statement outside a module',
	"Unexpected token 'export'",
	"Cannot use 'import.meta' outside a module",
	'await is only valid in async functions and the top level bodies of modules',
];
// Variables of a script's that a module may declare, and code with them and an await at its top is one.
const ofScripts = ['module', 'exports', 'require', '__filename', '__dirname'].map(
	(name) => `Identifier '${name}' has already been declared`);

// The loader that import() uses in a script is new, and its warning would be in every such run's stderr.
function hideLoaderWarning() {
	const warn = process.emitWarning;

	process.emitWarning = (...warning) => {
		if (!String(warning[0]).includes('USE_MAIN_CONTEXT_DEFAULT_LOADER'))
			return Reflect.apply(warn, process, warning);
		process.emitWarning = warn;
	};
}

function compile(code) {
	return vm.compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname'], {
		filename: label,
		importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
	});
}

function runScript(script) {
	const main = new Module(file, null);

	main.filename = file;
	main.paths = Module._nodeModulePaths(path.dirname(file));
	process.mainModule = main;
	main.require = Module.createRequire(file);
	main.require.main = main;
	setImmediate(script.bind(main.exports, main.exports, main.require, main, file, path.dirname(file)));
}

function runModule(code) {
	const address = url.pathToFileURL(file).href;

	if (!Module.registerHooks)
		giveUp('ES modules need Node.js 22.15 or later');
	const hooks = Module.registerHooks({
		resolve: (specifier, context, next) =>
			(specifier === address ? { url: address, format: 'module', shortCircuit: true } : next(specifier, context)),
		load: (at, context, next) => {
			if (at !== address)
				return next(at, context);
			hooks.deregister(); // what it imports is found as ever
			return { format: 'module', source: code, shortCircuit: true };
		},
	});
	import(address); // an exception in it is a rejection that nobody takes, and shown as such
}

process.argv.splice(1, process.argv.length, file, ...rest);

// Of code that cannot be compiled: as Node shows it, less the lines of its stack that are this file's.
function giveBack(error) {
	error.stack = error.stack.split('\n').filter((line) => !line.includes(__filename)).join('\n');
	process.nextTick(Promise.reject.bind(Promise, error));
}

let code = readCode();

if (language === 'typescript')
	code = strip(code);
hideLoaderWarning();
try {
	runScript(compile(code));
} catch (error) {
	if (!onlyScripts && ofModules.concat(ofScripts).includes(error.message))
		runModule(code);
	else
		giveBack(error);
}
