/* SPDX-License-Identifier: MIT */
/* What a caller asks for, beside what the policy allows: stricter is granted, looser is refused with a sentence that says why. */
#include "shell/keeper/repl.h"
#include "shell/bus/bus.h"
#include "shell/run/language.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LABEL_FALLBACK "<run>"
#define OUTPUT_FACTOR 64U                    /* times `output`: a stream that is longer ends its run */
#define OUTPUT_MOST_MIN (UINT64_C(64) << 20) /* but so much it may always have */
#define TIMEOUT_MIN_USEC UINT64_C(1000)
#define MEMORY_MIN (UINT64_C(1) << 20)
#define CPU_MIN UINT64_C(10000) /* what the kernel can count in each of its periods */

typedef enum Unit { UNIT_COUNT, UNIT_BYTES, UNIT_CORES, UNIT_TIME } Unit;

static const char *show(Unit unit, uint64_t value, char *buffer, size_t size)
{
	if (unit == UNIT_BYTES)
		return str_size(value, buffer, size);
	if (unit == UNIT_CORES)
		(void)snprintf(buffer, size, "%.4g cores", (double)value / 1e6);
	else if (unit == UNIT_TIME)
		(void)snprintf(buffer, size, "%.4gs", (double)value / 1e6);
	else
		(void)snprintf(buffer, size, "%llu", (unsigned long long)value);
	return buffer;
}

typedef struct Bound {
	const char *option, *key; /* of the request, and of the policy */
	Unit unit;
	uint64_t fallback, least, most;
} Bound;

static int judge_number(const Bound *bound, uint64_t asked, uint64_t *ret, sd_bus_error *error)
{
	char value[32], limit[32];

	if (asked == RUN_DEFAULT) {
		*ret = bound->fallback;
		return 0;
	}
	(void)show(bound->unit, asked, value, sizeof(value));
	if (asked > bound->most)
		return sd_bus_error_setf(error, KEEPER_ERROR_POLICY, "%s: %s is more than the policy's %s ([exec] %s)",
			bound->option, value, show(bound->unit, bound->most, limit, sizeof(limit)), bound->key);
	if (asked < bound->least)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s: %s is less than %s", bound->option,
			value, show(bound->unit, bound->least, limit, sizeof(limit)));
	*ret = asked;
	return 0;
}

static int judge_limits(const Policy *policy, const RunOptions *asked, RunOptions *options, sd_bus_error *error)
{
	const struct {
		Bound bound;
		uint64_t asked, *ret;
	} rows[] = {
		{ { "timeout", "max_timeout", UNIT_TIME, policy->exec_timeout_usec, TIMEOUT_MIN_USEC,
			  policy->exec_max_timeout_usec },
			asked->timeout_usec, &options->timeout_usec },
		{ { "memory", "memory", UNIT_BYTES, policy->exec_memory, MEMORY_MIN, policy->exec_memory },
			asked->memory, &options->memory },
		{ { "cpu", "cpu", UNIT_CORES, policy->exec_cpu, CPU_MIN, policy->exec_cpu }, asked->cpu,
			&options->cpu },
		{ { "processes", "processes", UNIT_COUNT, policy->exec_processes, 1, policy->exec_processes },
			asked->processes, &options->processes },
		{ { "output", "output", UNIT_BYTES, policy->exec_output, 0, policy->exec_output }, asked->output,
			&options->output },
	};
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(rows) && !r; i++)
		r = judge_number(&rows[i].bound, rows[i].asked, rows[i].ret, error);
	return r;
}

/* Each word is stricter than the one before it. */
static const char *const networks[] = {
	[NETWORK_FULL] = "full", [NETWORK_RESTRICTED] = "restricted", [NETWORK_NONE] = "none"
};

const char *run_network_name(NetworkMode mode)
{
	return networks[mode];
}

NetworkMode run_network_mode(const char *name)
{
	return strcmp(name, "none") == 0         ? NETWORK_NONE
	       : strcmp(name, "restricted") == 0 ? NETWORK_RESTRICTED
						 : NETWORK_FULL;
}

NetworkMode run_network_least(const Policy *policy)
{
	return policy->exec_network > policy->network ? policy->exec_network : policy->network;
}

static int judge_network(const Policy *policy, const char *asked, char **ret, sd_bus_error *error)
{
	NetworkMode least = run_network_least(policy);
	NetworkMode mode = least;

	if (*asked)
		for (size_t i = 0; i < ELEMENTSOF(networks); i++)
			if (strcmp(networks[i], asked) == 0)
				mode = (NetworkMode)i;
	if (mode < least)
		return sd_bus_error_setf(error, KEEPER_ERROR_POLICY,
			"network: \"%s\" is more than the policy's \"%s\" (%s)", asked, networks[least],
			policy->exec_network > policy->network ? "[exec] network" : "[network] mode");
	*ret = strdup(networks[mode]);
	return *ret ? 0 : -ENOMEM;
}

/*
 * As the agent: what it could not enter is refused here, in words. It enters by itself, later, confined. A session that lives
 * is in its folder already.
 */
static int judge_directory(const Keeper *keeper, const RunOptions *options, char **ret, sd_bus_error *error)
{
	const char *asked = options->directory, *place = *asked ? asked : keeper->policy->workspace;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -EBADF;
	char quoted[256];
	int r;

	path = place[0] == '/' ? strdup(place) : str_format("%s/%s", keeper->identity->home, place);
	if (!path)
		return -ENOMEM;
	if (!*asked && repls_have(keeper, options->language, options->session)) {
		*ret = TAKE_PTR(path);
		return 0;
	}
	r = identity_borrow(keeper->identity);
	if (r < 0)
		return r;
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && !*asked && mkdir(path, 0755) == 0)
		fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		fd = fd_close(fd);
	r = fd < 0 ? -errno : 0;
	identity_give_back();
	if (r < 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "directory: \"%s\" cannot be entered: %s",
			str_quote(path, strlen(path), quoted, sizeof(quoted)), strerror(-r));
	*ret = TAKE_PTR(path);
	return 0;
}

static const char *names_of(const StrList *list, char *buffer, size_t size)
{
	size_t n = 0;

	buffer[0] = '\0';
	for (size_t i = 0; i < list->n && n < size; i++)
		n += (size_t)snprintf(buffer + n, size - n, "%s%s", i ? ", " : "", list->items[i]);
	return buffer;
}

int run_judge_language(const Policy *policy, const char *asked, sd_bus_error *ret_error)
{
	char quoted[96], names[96];

	if (language_interpreter(policy, asked))
		return 0;
	return sd_bus_error_setf(ret_error, KEEPER_ERROR_POLICY,
		"language: \"%s\" is none of the policy's ([exec] languages = %s)",
		str_quote(asked, strlen(asked), quoted, sizeof(quoted)),
		names_of(&policy->languages, names, sizeof(names)));
}

/*
 * As the agent, in whose folders the policy's path may lie. One that cannot be executed for another reason says so when that is
 * tried; that of a session that lives runs already.
 */
static int judge_interpreter(const Keeper *keeper, const RunOptions *asked, sd_bus_error *error)
{
	const char *path = language_interpreter(keeper->policy, asked->language);
	struct stat status;
	int r;

	if (repls_have(keeper, asked->language, asked->session))
		return 0;
	r = identity_borrow(keeper->identity);
	if (r < 0)
		return r;
	r = stat(path, &status) < 0 ? -errno : 0;
	identity_give_back();
	if (r != -ENOENT && r != -ENOTDIR)
		return 0;
	return sd_bus_error_setf(error, KEEPER_ERROR_POLICY, "language: the interpreter of \"%s\" is not there: %s",
		asked->language, path);
}

static int copy_arguments(char *const *arguments, char ***ret)
{
	StrList list = { 0 };
	int r = 0;

	for (char *const *argument = arguments; !r && argument && *argument; argument++)
		r = strlist_add(&list, *argument);
	if (r < 0) {
		strlist_done(&list);
		return r;
	}
	*ret = list.items;
	return 0;
}

static int copy_rest(const RunOptions *asked, RunOptions *options)
{
	options->language = strdup(asked->language);
	options->label = strdup(*asked->label ? asked->label : LABEL_FALLBACK);
	options->session = strdup(asked->session);
	options->follow = asked->follow;
	options->collect = asked->collect;
	options->figures = asked->figures;
	if (!options->language || !options->label || !options->session)
		return -ENOMEM;
	if (asked->input_fd >= 0) {
		options->input_fd = fcntl(asked->input_fd, F_DUPFD_CLOEXEC, 3);
		if (options->input_fd < 0)
			return -errno;
	}
	return copy_arguments(asked->arguments, &options->arguments);
}

char *run_output_directory(const Keeper *keeper)
{
	const char *dir = keeper->policy->output_dir;

	if (strncmp(dir, "~/", 2) == 0)
		dir += 2;
	return *dir == '/' ? strdup(dir) : str_format("%s/%s", keeper->identity->home, dir);
}

int run_judge(Run *run, const RunOptions *asked, sd_bus_error *ret_error)
{
	const Policy *policy = run->keeper->policy;
	RunOptions *options = &run->options;
	int r;

	r = run_judge_language(policy, asked->language, ret_error);
	if (!r)
		r = judge_interpreter(run->keeper, asked, ret_error);
	if (!r)
		r = judge_limits(policy, asked, options, ret_error);
	if (!r)
		r = judge_network(policy, asked->network, (char **)&options->network, ret_error);
	if (!r)
		r = judge_directory(run->keeper, asked, (char **)&options->directory, ret_error);
	if (!r && asked->figures && strcmp(asked->language, "python") != 0)
		r = sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "figures: only Python has some to save");
	if (!r)
		r = copy_rest(asked, options);
	options->independent = asked->independent || policy->exec_independent;
	run->agent_memory = policy->memory;
	run->agent_processes = policy->processes;
	run->file_size = policy->file_size;
	run->scratch = policy->exec_scratch;
	run->output_directory = run_output_directory(run->keeper);
	if (!r && !run->output_directory)
		r = -ENOMEM;
	return r;
}

uint64_t run_output_most(const Run *run)
{
	uint64_t most = run->options.output * OUTPUT_FACTOR;

	return most > OUTPUT_MOST_MIN ? most : OUTPUT_MOST_MIN;
}

void run_name_files(Run *run)
{
	char name[48];

	(void)snprintf(name, sizeof(name), "run-%llu.stdout", (unsigned long long)run->number);
	spill_init(&run->output.spill, run->keeper->identity, run->file_size, name);
	(void)snprintf(name, sizeof(name), "run-%llu.stderr", (unsigned long long)run->number);
	spill_init(&run->error.spill, run->keeper->identity, run->file_size, name);
}
