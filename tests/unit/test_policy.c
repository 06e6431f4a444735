/* SPDX-License-Identifier: MIT */
/*
 * What a policy file may say: each error with its whole text, because the text is what an operator works with; each accepted
 * notation with the value that it means.
 */
#include "tests/unit/policy.h"

/* ---- errors ---- */

#define LONG_LINE                                                                                            \
	"# "                                                                                                 \
	"45678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901" \
	"234567"

static const struct {
	const char *text, *error;
} refused[] = {
	/* sections and keys */
	{ "[limits]\nmemroy = 1G\n", LABEL ":2: [limits] memroy: unknown key; did you mean `memory`?" },
	{ "[limit]\nmemory = 1G\n", LABEL ":2: [limit]: unknown section; did you mean [limits]?" },
	{ "[quux]\nx = 1\n", LABEL ":2: [quux]: unknown section" },
	{ "[limits]\nzzz = 1\n", LABEL ":2: [limits] zzz: unknown key" },
	{ "[limits]\nsession_processes = 50\n", LABEL ":2: [limits] session_processes: unknown key" },
	{ "[limits]\nlisten = 3000\n", LABEL ":2: [limits] listen: unknown key; did you mean [ports] listen?" },
	{ "[limits]\nMemory = 1G\n", LABEL ":2: [limits] Memory: unknown key; did you mean `memory`?" },
	{ "memory = 1G\n", LABEL ":1: memory: the key stands before any [section]" },
	{ "[limits]\n= 1G\n", LABEL ":2: [limits]: the key's name is missing" },
	{ "[limits]\nmemory = 1G\ncpu = 1\nmemory = 2G\n",
		LABEL ":4: [limits] memory: it is set twice, first in line 2" },
	{ "[limits]\nmemory = 1G\n[ports]\n[limits]\nmemory = 1G\n",
		LABEL ":5: [limits] memory: it is set twice, first in line 2" },
	{ "[network]\noperator_ports = 9100\n",
		LABEL ":2: [network] operator_ports: only creel.conf may set it, it is one for the whole machine" },
	{ "[front]\noperator_port = 2222\n",
		LABEL ":2: [front] operator_port: only creel.conf may set it, it is one for the whole machine" },
	/* lines */
	{ "[limits]\nmemory 1G\n", LABEL ":2: the line is neither [section], nor `key = value`, nor a comment" },
	{ "[limits\nmemory = 1G\n", LABEL ":1: the section's closing bracket is missing" },
	{ "[limits] memory = 1G\n", LABEL ":1: there is text behind the section's closing bracket" },
	{ "[limits]\n  memory = 1G\n", LABEL ":2: the line is indented: only the value of a list may go on like that" },
	{ "[limits]\nmemory = 1G\n  cpu = 1\n",
		LABEL ":3: the line is indented: only the value of a list may go on like that" },
	{ "[commands]\ndeny = rm,\n  dd\n  allow = ls\n",
		LABEL ":4: the line is indented: only the value of a list may go on like that" },
	{ "[commands]\ndeny = rm\n  [limits]\n",
		LABEL ":3: the line is indented: only the value of a list may go on like that" },
	{ "[limits]\nmemory = 1\x1bG\n", LABEL ":2: the line has a control character" },
	{ LONG_LINE LONG_LINE "\n",
		LABEL ":1: the line has more than 197 bytes; a list may go on in an indented line" },
	/* sizes */
	{ "[limits]\nmemory = 2GB\n",
		LABEL ":2: [limits] memory: `2GB` is not a size in bytes: digits, then K, M, G or T,"
		      " as in 256M, or max for no limit" },
	{ "[limits]\nmemory = 256m\n",
		LABEL ":2: [limits] memory: `256m` is not a size in bytes: digits, then K, M, G or T,"
		      " as in 256M, or max for no limit" },
	{ "[limits]\nmemory = 256\n",
		LABEL ":2: [limits] memory: `256` is out of range: 32M to 64T, or max for no limit" },
	{ "[limits]\nmemory = -1G\n",
		LABEL ":2: [limits] memory: `-1G` is not a size in bytes: digits, then K, M, G or T,"
		      " as in 256M, or max for no limit" },
	{ "[limits]\nmemory = 99999999999T\n",
		LABEL ":2: [limits] memory: `99999999999T` is out of range: 32M to 64T, or max for no limit" },
	{ "[limits]\nmemory =\n", LABEL ":2: [limits] memory: `` is not a size in bytes: digits, then K, M, G or T,"
					" as in 256M, or max for no limit" },
	{ "[limits]\nmemory = 2G # two\n",
		LABEL ":2: [limits] memory: `2G # two` is not a size in bytes: digits, then K, M,"
		      " G or T, as in 256M, or max for no limit" },
	{ "[exec]\noutput = max\n", LABEL ":2: [exec] output: `max` is not a size in bytes: digits, then K, M, G or T,"
					  " as in 256M" },
	/* counts, cores, times */
	{ "[limits]\nprocesses = 50k\n",
		LABEL ":2: [limits] processes: `50k` is not a number of decimal digits, or max for no"
		      " limit" },
	{ "[limits]\nprocesses = 0\n",
		LABEL ":2: [limits] processes: `0` is out of range: 8 to 4000000, or max for no limit" },
	{ "[limits]\nio_weight = 10001\n", LABEL ":2: [limits] io_weight: `10001` is out of range: 1 to 10000" },
	{ "[limits]\ncpu = 50%\n",
		LABEL ":2: [limits] cpu: `50%` is not a number of cores, as in 0.5 or 2, or max for no"
		      " limit" },
	{ "[limits]\ncpu = 0\n", LABEL ":2: [limits] cpu: `0` is out of range: 0.01 to 1024, or max for no limit" },
	{ "[limits]\ncpu = 1.\n", LABEL ":2: [limits] cpu: `1.` is not a number of cores, as in 0.5 or 2, or max for no"
					" limit" },
	{ "[exec]\ntimeout = 30\n",
		LABEL ":2: [exec] timeout: `30` is not a time: digits, then ms, s, m, h or d, as in 30s" },
	{ "[exec]\ntimeout = 2d\n", LABEL ":2: [exec] timeout: `2d` is out of range: 100ms to 1d" },
	/* words, paths, names */
	{ "[network]\nmode = off\n", LABEL ":2: [network] mode: `off` is not full, restricted or none" },
	{ "[javascript]\nes_modules = true\n", LABEL ":2: [javascript] es_modules: `true` is not no or yes" },
	{ "[agent]\nshell = bash\n", LABEL ":2: [agent] shell: `bash` is not an absolute path" },
	{ "[agent]\nshell = /bin/../bin/bash\n",
		LABEL ":2: [agent] shell: `/bin/../bin/bash` is not a plain path: no empty, `.` or `..` parts" },
	{ "[agent]\nworkspace = ../other\n",
		LABEL ":2: [agent] workspace: `../other` is not a plain path: no empty, `.` or `..` parts" },
	{ "[agent]\nprofile = ../x\n", LABEL ":2: [agent] profile: `../x` is not the name of a profile" },
	{ "[agent]\nprofile = nosuch\n",
		LABEL ":2: [agent] profile: there is no profile `nosuch` (" POLICY_PROFILE_DIR "/nosuch.conf)" },
	/* lists */
	{ "[commands]\ndeny = rm,,dd\n", LABEL ":2: [commands] deny: an element is empty: a comma too many" },
	{ "[commands]\ndeny = rm, dd,\n", LABEL ":2: [commands] deny: an element is empty: a comma too many" },
	{ "[commands]\ndeny = rm, rm\n", LABEL ":2: [commands] deny: `rm` is in the list twice" },
	{ "[commands]\ndeny = rm -rf\n", LABEL ":2: [commands] deny: `rm -rf` is not a command: a name "
					       "without blanks, or an absolute path" },
	{ "[network]\nmode = restricted\nallowed_hosts = exa mple.org\n",
		LABEL ":3: [network] allowed_hosts: `exa mple.org`"
		      " is not a host name, *.NAME, or an address with an optional /LENGTH" },
	{ "[network]\nallowed_hosts = 10.0.0.0/33\n",
		LABEL ":2: [network] allowed_hosts: `10.0.0.0/33`"
		      " is not a host name, *.NAME, or an address with an optional /LENGTH" },
	{ "[exec]\nlanguages = python, perl\n",
		LABEL ":2: [exec] languages: `perl` is not python, javascript, typescript or bash" },
	{ "[files]\nhidden = ~bob/x\n",
		LABEL ":2: [files] hidden: `~bob/x` is not a plain absolute path, ~, or ~/PATH" },
	{ "[output]\ntypes = a/*.png\n",
		LABEL ":2: [output] types: `a/*.png` is not a file name pattern: it has a slash" },
	{ "[agent]\nenvironment = LANG, LD_PRELOAD\n",
		LABEL ":2: [agent] environment: `LD_PRELOAD` is not the name of a variable that a client may set" },
	{ "[agent]\nenvironment = L*\n",
		LABEL ":2: [agent] environment: `L*` is not the name of a variable that a client may set" },
	{ "[agent]\nenvironment = *\n",
		LABEL ":2: [agent] environment: `*` is not the name of a variable that a client may set" },
	{ "[agent]\nenvironment = BASH_ENV\n",
		LABEL ":2: [agent] environment: `BASH_ENV` is not the name of a variable that a client may set" },
	{ "[agent]\nenvironment = PATH\n",
		LABEL ":2: [agent] environment: `PATH` is not the name of a variable that a client may set" },
	{ "[agent]\nsubsystems = sftp=sftp-server\n",
		LABEL ":2: [agent] subsystems: `sftp=sftp-server` is not NAME=PROGRAM [ARGUMENT ...], the program an"
		      " absolute path" },
	{ "[agent]\nsubsystems = /usr/bin/x\n",
		LABEL ":2: [agent] subsystems: `/usr/bin/x` is not NAME=PROGRAM [ARGUMENT ...], the program an absolute"
		      " path" },
	{ "[agent]\nsubsystems = a b=/usr/bin/x\n",
		LABEL ":2: [agent] subsystems: `a b=/usr/bin/x` is not NAME=PROGRAM [ARGUMENT ...], the program an"
		      " absolute path" },
	{ "[agent]\nsubsystems = x=/usr/../bin/x\n",
		LABEL ":2: [agent] subsystems: `x=/usr/../bin/x` is not NAME=PROGRAM [ARGUMENT ...], the program an"
		      " absolute path" },
	/* ports */
	{ "[ports]\nlisten = 22\n",
		LABEL ":2: [ports] listen: port 22 is below 1024: agents have no right to bind it" },
	{ "[agent]\noptional = ports, magic\n",
		LABEL ":2: [agent] optional: `magic` is not a mechanism of creel-enforce(8)" },
	{ "[ports]\nlisten=2000,2002,2004,2006,2008,2010,2012,2014,2016,2018,2020,2022,2024,2026,2028,2030,"
	  "2032,2034,2036,2038,2040,2042,2044,2046,2048,2050,2052,2054,2056,2058,2060,2062,2064\n",
		LABEL ":2: [ports] listen: more than 32 ranges that do not touch" },
	{ "[ports]\nlisten = 9000-3000\n", LABEL ":2: [ports] listen: the range 9000-3000 ends before it starts" },
	{ "[ports]\nlisten = 3000-70000\n",
		LABEL ":2: [ports] listen: `70000` is not a port: 1 to 65535, or a range as in 3000-9000" },
	{ "[ports]\nlisten =\n", LABEL ":2: [ports] listen: no port is named; `none` means that there are none" },
	{ "[ports]\nlisten = own\n",
		LABEL ":2: [ports] listen: `own` is not a port: 1 to 65535, or a range as in 3000-9000" },
	{ "[ports]\nforward = none, own\n",
		LABEL ":2: [ports] forward: `none` is not a port: 1 to 65535, or a range as in 3000-9000" },
	{ "[ports]\nlisten = 2000-3000\n",
		LABEL ":2: [ports] listen: port 2222 is the operator's ([front] operator_port,"
		      " built-in)" },
	/* contradictions */
	{ "[limits]\nmemory = 1G\nsession_memory = 2G\n",
		LABEL ":3: [limits] session_memory: 2G is more than [limits] memory = 1G (" LABEL ":2)" },
	{ "[limits]\nsession_memory = 4G\n",
		LABEL ":2: [limits] session_memory: 4G is more than [limits] memory = 2G (built-in)" },
	{ "[limits]\ntasks = 300\nsession_tasks = 301\n",
		LABEL ":3: [limits] session_tasks: 301 is more than [limits] tasks = 300 (" LABEL ":2)" },
	{ "[limits]\nsession_tasks = 2000\n",
		LABEL ":2: [limits] session_tasks: 2000 is more than [limits] tasks = 1024 (built-in)" },
	{ "[limits]\nsession_cpu = 2.5\n",
		LABEL ":2: [limits] session_cpu: 2.5 is more than [limits] cpu = 2 (built-in)" },
	{ "[limits]\ncpu = 0.5\nsession_cpu = 1\n",
		LABEL ":3: [limits] session_cpu: 1 is more than [limits] cpu = 0.5 (" LABEL ":2)" },
	{ "[limits]\nprocesses = 2000\n",
		LABEL ":2: [limits] processes: 2000 is more than [limits] tasks = 1024 (built-in)" },
	{ "[exec]\ntimeout = 10m\n", LABEL ":2: [exec] timeout: 10m is more than [exec] max_timeout = 2m (built-in)" },
	{ "[exec]\nscratch = 64M\nmemory = 32M\n",
		LABEL ":2: [exec] scratch: 64M is more than [exec] memory = 32M (" LABEL ":3)" },
	{ "[files]\nhidden = ~/x\n",
		LABEL ":2: [files] hidden: `~/x` is in `~`, which the agent may write: this cannot be enforced there" },
	{ "[files]\nread_only = /var/tmp/x\n",
		LABEL ":2: [files] read_only: `/var/tmp/x` is in `/var/tmp`, which the agent may write: this cannot be "
		      "enforced there" },
	{ "[files]\nwrite = /srv\nhidden = /srv/x\n", LABEL
		":3: [files] hidden: `/srv/x` is in `/srv`, which the agent may write: this cannot be enforced there" },
	{ "[files]\nhidden = /\n", LABEL ":2: [files] hidden: `/` would leave nothing" },
	{ "[calls]\naction = ignore\n", LABEL ":2: [calls] action: `ignore` is not errno or kill" },
	{ "[commands]\nallow = ls, rm\ndeny = rm\n",
		LABEL ":2: [commands] allow: `rm` is also in [commands] deny (" LABEL ":3)" },
	{ "[network]\nmode = restricted\n", LABEL ":2: [network] mode: restricted needs [network] allowed_hosts" },
	{ "[network]\nallowed_hosts = example.org\n",
		LABEL ":2: [network] allowed_hosts: it restricts nothing while [network] mode = full (built-in)" },
	{ "[network]\nmode = none\n[exec]\nnetwork = full\n",
		LABEL ":4: [exec] network: `full` is more than [network] mode = none (" LABEL ":2)" },
	{ "[python]\npreload = numpy, import os\n",
		LABEL ":2: [python] preload: `import os` is not the name of a Python module" },
	{ "[python]\npreload = matplotlib..pyplot\n",
		LABEL ":2: [python] preload: `matplotlib..pyplot` is not the name of a Python module" },
	{ "[python]\npreload = os.\n", LABEL ":2: [python] preload: `os.` is not the name of a Python module" },
	{ "[python]\npreload = 7zip\n", LABEL ":2: [python] preload: `7zip` is not the name of a Python module" },
	{ "[python]\npip_install = allowlist\n", LABEL ":2: [python] pip_install: allowlist needs [python] packages" },
	{ "[javascript]\npackages = left-pad\n",
		LABEL ":2: [javascript] packages: it allows nothing while [javascript] npm_install is not "
		      "allowlist (built-in)" },
	{ "[network]\nmode = none\n[python]\npip_install = allowlist\npackages = numpy==1.26.4 extra\n",
		LABEL ":5: [python] packages: `numpy==1.26.4 extra` is not a package of pip's: a name, with versions "
		      "behind it "
		      "as in numpy==1.26.4 or requests >=2 <3" },
	{ "[network]\nmode = none\n[javascript]\nnpm_install = allowlist\npackages = user/repo\n", LABEL
		":5: [javascript] packages: `user/repo` is not a package of npm's: a name, with a version or range "
		"behind it as in express@^4.18" },
	/* what cannot be enforced is not promised */
	{ "[python]\npip_install = no\n", LABEL ":2: [python] pip_install: `no` cannot hold while [network] mode = "
						"full (built-in): set restricted or none "
						"there, or yes here" },
	{ "[javascript]\nnpm_install = allowlist\npackages = left-pad@1.3.0\n", LABEL
		":2: [javascript] npm_install: `allowlist` cannot hold while [network] mode = full (built-in): set "
		"restricted or none there, or yes here" },
	{ "[agent]\nprofile = openclaw\n[network]\nmode = full\n",
		LABEL ":4: [network] mode: `full` reaches what [python] pip_install = no (" POLICY_PROFILE_DIR
		      "/openclaw.conf:48) keeps away: set restricted or none, or pip_install = yes" },
	{ "[agent]\nprofile = openclaw\n[network]\nmode = restricted\nallowed_hosts = api.example.com, pypi.org\n",
		LABEL ":5: [network] allowed_hosts: packages can be had from `pypi.org`, and [python] pip_install = no "
		      "(" POLICY_PROFILE_DIR
		      "/openclaw.conf:48) lets none come from there: take it out, or set pip_install = yes" },
	{ "[network]\nmode = restricted\nallowed_hosts = 10.0.0.0/8, 151.101.0.0/16\n[python]\npip_install = no\n",
		LABEL ":3: [network] allowed_hosts: packages can be had from `151.101.0.0/16`, and [python] "
		      "pip_install = no (" LABEL
		      ":5) lets none come from there: take it out, or set pip_install = yes" },
	{ "[network]\nmode = restricted\nallowed_hosts = *.example.org\n[javascript]\nnpm_install = no\nmirrors = "
	  "npm.example.org\n",
		LABEL ":3: [network] allowed_hosts: packages can be had from `*.example.org`, and [javascript] "
		      "npm_install = no "
		      "(" LABEL ":5) lets none come from there: take it out, or set npm_install = yes" },
	{ "[output]\ndir = /tmp/openclaw/code-output\n", LABEL ":2: [output] dir: `/tmp/openclaw/code-output` is in "
							       "/tmp, which all agents share: name a folder of the "
							       "agent's own, and that one in [output] seen_as" },
	{ "[output]\nseen_as = /srv/out\n",
		LABEL ":2: [output] seen_as: `/srv/out` is in none of /tmp, /var/tmp and /dev/shm" },
	{ "[output]\nseen_as = /tmp\n",
		LABEL ":2: [output] seen_as: `/tmp` is in none of /tmp, /var/tmp and /dev/shm" },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
		PolicyError error = { "" };
		Policy *policy = load(refused[i].text, &error);

		if (policy)
			print_error("accepted: %s", refused[i].text);
		assert_null(policy);
		assert_string_equal(error.text, refused[i].error);
	}
}

/* ---- values ---- */

static const struct {
	const char *text, *section, *key, *value;
} accepted[] = {
	{ "[limits]\nmemory = 1G\n", "limits", "memory", "1G" },
	{ "[limits]\nmemory = 1024M\n", "limits", "memory", "1G" },
	{ "[limits]\nmemory=1536M\n", "limits", "memory", "1536M" },
	{ "[limits]\r\nmemory = 1G\r\n", "limits", "memory", "1G" },
	{ "[limits]\nmemory = max ; all of it\n", "limits", "memory", "max" },
	{ "; a comment\n# another\n\n[limits]\nmemory = 1G", "limits", "memory", "1G" },
	{ "\xef\xbb\xbf[limits]\nmemory = 1G\n", "limits", "memory", "1G" },
	{ "[limits]\ncpu = 0.5\n", "limits", "cpu", "0.5" },
	{ "[limits]\ncpu = 1.250000\n", "limits", "cpu", "1.25" },
	{ "[exec]\ntimeout = 1500ms\n", "exec", "timeout", "1500ms" },
	{ "[exec]\ntimeout = 90s\n", "exec", "timeout", "90s" },
	{ "[exec]\ntimeout = 60s\n", "exec", "timeout", "1m" },
	{ "[audit]\nretention = 48h\n", "audit", "retention", "2d" },
	{ "[exec]\nfilesystem = independent\n", "exec", "filesystem", "independent" },
	{ "[agent]\nkeys = both\n", "agent", "keys", "both" },
	{ "[ports]\nlisten = none\n", "ports", "listen", "none" },
	{ "[ports]\nlisten = 9000, 3000-4000,4001-5000, 8000\n", "ports", "listen", "3000-5000,8000,9000" },
	{ "[ports]\nforward = 80\n", "ports", "forward", "80" },
	{ "[ports]\nforward = own\n", "ports", "forward", "own" },
	{ "[ports]\nforward = own, 9000, 3000-4000\n", "ports", "forward", "3000-4000,9000,own" },
	{ "[files]\nread_only = ~, /srv\nwrite = ~/x, /srv/x\n", "files", "read_only", "~, /srv" },
	{ "[files]\nhidden = /home, /var/tmp\n", "files", "hidden", "/home, /var/tmp" },
	{ "[calls]\naction = kill\n", "calls", "action", "kill" },
	{ "[commands]\ndeny =\n", "commands", "deny", "" },
	{ "[commands]\ndeny = rm , /usr/bin/dd\n", "commands", "deny", "rm, /usr/bin/dd" },
	{ "[commands]\ndeny = rm,\n  dd,\n\tmkfs ; three\n", "commands", "deny", "rm, dd, mkfs" },
	{ "[commands]\ndeny = rm\n  dd\n", "commands", "deny", "rm, dd" },
	{ "[network]\nmode = restricted\nallowed_hosts = *.example.org, 10.0.0.0/8, 2001:db8::/32, "
	  "pypi.org\n",
		"network", "allowed_hosts", "*.example.org, 10.0.0.0/8, 2001:db8::/32, pypi.org" },
	{ "[network]\nmode = none\n[python]\npip_install = allowlist\npackages = numpy==1.26.4, requests >=2 <3\n",
		"python", "packages", "numpy==1.26.4, requests >=2 <3" },
	{ "[network]\nmode = none\n[javascript]\nnpm_install = allowlist\npackages = @types/node@22, express@>=4 <5\n",
		"javascript", "packages", "@types/node@22, express@>=4 <5" },
	{ "[network]\nmode = restricted\nallowed_hosts = example.org, 10.0.0.0/8, 192.0.2.1\n[python]\npip_install = "
	  "no\n",
		"python", "pip_install", "no" },
	{ "[network]\nmode = restricted\nallowed_hosts = pypi.org\n[javascript]\nnpm_install = no\n", "javascript",
		"npm_install", "no" },
	{ "[output]\nseen_as = /tmp/openclaw/code-output\n", "output", "seen_as", "/tmp/openclaw/code-output" },
	{ "[python]\npreload = pandas, matplotlib.pyplot, _x1\n", "python", "preload",
		"pandas, matplotlib.pyplot, _x1" },
	{ "[agent]\nenvironment = EDITOR, MY_*, PATHX*\n", "agent", "environment", "EDITOR, MY_*, PATHX*" },
	{ "[agent]\nenvironment =\n", "agent", "environment", "" },
	{ "[agent]\nsubsystems = sftp=/usr/lib/openssh/sftp-server -l INFO, exec=/usr/bin/creel exec-server\n", "agent",
		"subsystems", "sftp=/usr/lib/openssh/sftp-server -l INFO, exec=/usr/bin/creel exec-server" },
	/* a value that nobody asked for follows a stricter one that somebody did */
	{ "[limits]\nmemory = 32M\n", "exec", "scratch", "32M" },
	{ "[limits]\ntasks = 30\n", "limits", "processes", "30" },
	/* tasks are more than processes: a session may have as many as the agent, however few processes that are */
	{ "[limits]\nprocesses = 50\nsession_tasks = 1024\n", "limits", "session_tasks", "1024" },
	{ "[limits]\ntasks = 300\n", "limits", "session_tasks", "max" },
	{ "[limits]\ncpu = 0.5\nsession_cpu = 0.5\n", "limits", "session_cpu", "0.5" },
	{ "[limits]\ncpu = 0.5\n", "limits", "session_cpu", "max" },
	{ "[limits]\nfile_size = 5M\n", "output", "max_file_size", "5M" },
	{ "[exec]\nmax_timeout = 10s\n", "exec", "timeout", "10s" },
	{ "[network]\nmode = none\n", "exec", "network", "none" },
	{ "[limits]\nmemory = 128M\n[agent]\nprofile = openclaw\n", "exec", "memory", "128M" },
};

static void test_accepted(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(accepted); i++) {
		PolicyError error = { "" };
		Policy *policy = load(accepted[i].text, &error);
		const char *origin;
		char *value;

		if (!policy)
			print_error("%s\n", error.text);
		assert_non_null(policy);
		value = value_of(policy, accepted[i].section, accepted[i].key, &origin);
		assert_string_equal(value, accepted[i].value);
		free(value);
		policy_free(policy);
	}
}

static void test_numbers(void **state)
{
	PolicyError error;
	Policy *policy = load("[limits]\nmemory = 1G\nswap = max\ncpu = 0.5\n[exec]\ntimeout = 1500ms\n", &error);

	assert_non_null(policy);
	assert_true(policy->memory == UINT64_C(1) << 30);
	assert_true(policy->swap == POLICY_UNLIMITED);
	assert_int_equal(policy->cpu, 500000);
	assert_int_equal(policy->exec_timeout_usec, 1500000);
	assert_int_equal(policy->keys, KEYS_HOME);
	assert_int_equal(policy->network, NETWORK_FULL);
	assert_true(port_list_contains(&policy->listen, 3000));
	assert_true(port_list_contains(&policy->listen, 9000));
	assert_false(port_list_contains(&policy->listen, 2999));
	assert_false(port_list_contains(&policy->listen, 9001));
	policy_free(policy);
}

/* Every key: what is written out is read in again as the same, and the built-in values stand in the text. */
static void test_round_trip(void **state)
{
	_cleanup_free_ char *text = strdup("");
	const char *section, *key, *origin, *last = "";
	PolicyError error = { "" };
	Policy *policy = load("", &error), *again;
	bool enforced;
	char *value;
	size_t n = 0;

	assert_non_null(policy);
	for (size_t i = 0; policy_row(policy, i, &section, &key, &value, &origin, &enforced); i++) {
		char *more;

		n++;
		assert_string_equal(origin, "built-in");
		if (strcmp(section, "front") == 0 || strcmp(section, "metrics") == 0 || strcmp(key, "profile") == 0 ||
			strcmp(key, "operator_ports") == 0) {
			free(value);
			continue;
		}
		more = str_format("%s%s%s%s%s = %s\n", text, strcmp(section, last) ? "[" : "",
			strcmp(section, last) ? section : "", strcmp(section, last) ? "]\n" : "", key, value);
		assert_non_null(more);
		free(text);
		text = more;
		last = section;
		free(value);
	}
	assert_int_equal(n, policy_keys_n);

	again = load(text, &error);
	assert_string_equal(error.text, "");
	assert_non_null(again);
	for (size_t i = 0; i < n; i++) {
		char *first, *second;

		assert_true(policy_row(policy, i, &section, &key, &first, &origin, &enforced));
		assert_true(policy_row(again, i, &section, &key, &second, &origin, &enforced));
		assert_string_equal(first, second);
		free(first);
		free(second);
	}
	policy_free(again);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests_name("policy", tests, set_up, tear_down);
}
