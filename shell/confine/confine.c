/* SPDX-License-Identifier: MIT */
#include "shell/confine/confine.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/confine/calls.h"
#include "shell/confine/landlock.h"
#include "shell/confine/plan.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static struct rlimit both(uint64_t value)
{
	rlim_t limit = value == POLICY_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;

	return (struct rlimit){ .rlim_cur = limit, .rlim_max = limit };
}

/* The plan of rules that the child makes, with what it refers to. */
struct LateRules {
	ConfinementRequest request;
	PolicyError error;
	Plan plan;
	int abi;
};

static LateRules *late_rules_free(LateRules *late)
{
	if (late) {
		plan_done(&late->plan);
		free(late);
	}
	return NULL;
}

/* Takes the plan apart from what is to be watched. */
static int keep_plan(Plan *plan, int abi, LateRules **ret)
{
	LateRules *late = calloc(1, sizeof(*late));

	if (!late)
		return -ENOMEM;
	late->request = *plan->request;
	late->abi = abi;
	late->plan = *plan;
	late->plan.request = &late->request;
	late->plan.error = &late->error;
	late->plan.watch = (Watch){ 0 };
	*plan = (Plan){ .request = plan->request, .error = plan->error, .watch = plan->watch };
	*ret = late;
	return 0;
}

static Plan plan_for(const ConfinementRequest *request, PolicyError *error)
{
	const Policy *policy = request->policy;

	return (Plan){
		.request = request,
		.error = error,
		.allow = request->bash ? &policy->bash_allow : &policy->commands_allow,
		.deny = request->bash ? &policy->bash_deny : &policy->commands_deny,
		.allow_key = request->bash ? "[exec] bash_allow" : "[commands] allow",
		.deny_key = request->bash ? "[exec] bash_deny" : "[commands] deny",
	};
}

static int prepare_rules(const ConfinementRequest *request, Confinement *confinement, PolicyError *ret_error)
{
	_cleanup_(plan_done) Plan plan = plan_for(request, ret_error);
	int abi = landlock_abi(), r;

	if (abi < LANDLOCK_ABI_MIN) {
		if (abi >= 0)
			return plan_refuse(&plan, "Landlock of this kernel is too old: ABI %d, and %d is needed", abi,
				LANDLOCK_ABI_MIN);
		(void)plan_refuse(&plan, "this kernel has no Landlock, or it is switched off: %s", strerror(-abi));
		return abi;
	}
	r = plan_places(&plan);
	if (!r)
		r = plan_commands(&plan);
	if (!r && request->late)
		r = keep_plan(&plan, abi, &confinement->late);
	else if (!r)
		r = rules_make(&plan, abi, &confinement->ruleset_fd);
	if (r < 0) {
		if (!*ret_error->text)
			(void)plan_refuse(&plan, "Landlock rules cannot be made: %s", strerror(-r));
		return r;
	}
	confinement->watch = plan.watch;
	plan.watch = (Watch){ 0 };
	return 0;
}

static int prepare_all(const ConfinementRequest *request, Confinement *confinement, PolicyError *ret_error)
{
	const Policy *policy = request->policy;
	/* with a list of programs nothing else may be executed, and a file without a name has no rule */
	const StrList *allow = request->bash ? &policy->bash_allow : &policy->commands_allow;
	const CallsOptions calls = { .kill = policy->calls_kill, .memory = !allow->n };
	char text[16];
	uint64_t last;
	int r;

	r = file_get_at(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", text, sizeof(text));
	if (!r)
		r = str_to_u64(text, 63, &last);
	if (!r)
		r = calls_prepare(&calls, &confinement->filter);
	if (r < 0) {
		(void)snprintf(
			ret_error->text, sizeof(ret_error->text), "the confinement cannot be made: %s", strerror(-r));
		return r;
	}
	confinement->last_capability = (int)last;
	return prepare_rules(request, confinement, ret_error);
}

int confinement_prepare(const ConfinementRequest *request, Confinement *ret, PolicyError *ret_error)
{
	Confinement confinement = {
		.uid = request->uid,
		.gid = request->gid,
		.groups = request->groups,
		.n_groups = request->n_groups,
		.oom_score_adjust = AGENT_OOM_SCORE_ADJUST,
		.open_files = both(request->policy->open_files),
		.file_size = both(request->policy->file_size),
		.ruleset_fd = -EBADF,
	};
	int r;

	ret_error->text[0] = '\0';
	r = prepare_all(request, &confinement, ret_error);
	if (r < 0) {
		confinement_done(&confinement);
		return r;
	}
	confinement.stamp = watch_stamp(&confinement.watch);
	*ret = confinement;
	return 0;
}

bool confinement_is_current(const Confinement *confinement)
{
	/* nothing prepared, nothing outdated */
	return !confinement->watch.n || watch_stamp(&confinement->watch) == confinement->stamp;
}

void confinement_done(Confinement *confinement)
{
	fd_close(confinement->ruleset_fd);
	late_rules_free(confinement->late);
	filter_done(&confinement->filter);
	watch_done(&confinement->watch);
	*confinement = CONFINEMENT_NONE;
}

/* snprintf() may lock and allocate: digits by hand. */
static int write_number(const char *path, int number)
{
	char text[12], *p = text + sizeof(text);
	unsigned int rest = (unsigned int)number;
	int fd, r = 0;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, p, (size_t)(text + sizeof(text) - p)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* A small number, negative or not. */
static int read_number(const char *path, int *ret)
{
	char text[16];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	*ret = (int)strtol(text, NULL, 10);
	return 0;
}

static int apply_limits(const Confinement *confinement)
{
	/* a core file would land wherever the agent stands, as large as its memory */
	static const struct rlimit no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || setrlimit(RLIMIT_NOFILE, &confinement->open_files) < 0 ||
		setrlimit(RLIMIT_FSIZE, &confinement->file_size) < 0)
		return -errno;
	return write_number("/proc/self/oom_score_adj", confinement->oom_score_adjust);
}

static int drop_bounding_set(const Confinement *confinement)
{
	for (int cap = 0; cap <= confinement->last_capability; cap++)
		/* ping(8) cannot be executed without it in this set; no_new_privs keeps it from being gained */
		if (cap != CAP_NET_RAW && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

/*
 * Raw system calls: glibc's wrappers first walk a list of threads under a lock. This process has one thread.
 */
static int take_identity(const Confinement *confinement)
{
	if (syscall(SYS_setgroups, confinement->n_groups, confinement->groups) < 0 ||
		syscall(SYS_setresgid, confinement->gid, confinement->gid, confinement->gid) < 0 ||
		syscall(SYS_setresuid, confinement->uid, confinement->uid, confinement->uid) < 0)
		return -errno;

	/* proof, not hope: root must be out of reach now */
	if (syscall(SYS_setresuid, -1, 0, -1) == 0 || getuid() != confinement->uid || geteuid() != confinement->uid)
		return -EPERM;
	return 0;
}

/* The keeper's session keyring is root's: an agent gets a new, empty one. Kernels without keyrings have none to share. */
static int leave_keyring(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

/* From here on the process can only lose. */
static int restrict_itself(const Confinement *confinement, const char **ret_step)
{
	int r;

	*ret_step = "set no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;

	*ret_step = "restrict files (Landlock)";
	if (confinement->ruleset_fd >= 0) {
		r = landlock_apply(confinement->ruleset_fd);
		if (r < 0)
			return r;
	}

	*ret_step = "restrict system calls (seccomp)";
	return filter_apply(&confinement->filter);
}

int confinement_apply(const Confinement *confinement, const char **ret_step)
{
	int r;

	*ret_step = "set limits";
	r = apply_limits(confinement);
	if (r < 0)
		return r;

	*ret_step = "drop capabilities";
	r = drop_bounding_set(confinement);
	if (r < 0)
		return r;

	*ret_step = "take the agent's identity";
	r = take_identity(confinement);
	if (r < 0)
		return r;

	*ret_step = "leave the keyring";
	r = leave_keyring();
	if (r < 0)
		return r;
	r = restrict_itself(confinement, ret_step);
	if (confinement->ruleset_fd >= 0)
		(void)close(confinement->ruleset_fd);
	return r;
}

int confinement_narrow(const Confinement *confinement, const char **ret_step)
{
	int r = restrict_itself(confinement, ret_step);

	if (confinement->ruleset_fd >= 0)
		(void)close(confinement->ruleset_fd);
	return r;
}

int confinement_make_rules(const Confinement *confinement, int *ret_fd)
{
	if (!confinement->late) {
		*ret_fd = confinement->ruleset_fd;
		return 0;
	}
	return rules_make(&confinement->late->plan, confinement->late->abi, ret_fd);
}

static int lower_limit(int resource, const struct rlimit *wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (wanted->rlim_max < limit.rlim_max)
		limit.rlim_max = wanted->rlim_max;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? -errno : 0;
}

/*
 * The score is raised where it is lower. It can be lowered again then, down to what the one who started this process set:
 * that is why units and the keeper set it as root.
 */
static int lower_limits(const Confinement *confinement)
{
	static const struct rlimit no_core = { 0, 0 };
	int score = 0, r;

	r = lower_limit(RLIMIT_CORE, &no_core);
	if (!r)
		r = lower_limit(RLIMIT_NOFILE, &confinement->open_files);
	if (!r)
		r = lower_limit(RLIMIT_FSIZE, &confinement->file_size);
	if (r < 0)
		return r;
	r = read_number("/proc/self/oom_score_adj", &score);
	if (r < 0 || score >= confinement->oom_score_adjust)
		return r;
	return write_number("/proc/self/oom_score_adj", confinement->oom_score_adjust);
}

int confinement_apply_own(const Confinement *confinement, const char **ret_step)
{
	uid_t real, effective, saved;
	int r;

	*ret_step = "be the agent";
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	if (real != confinement->uid || effective != confinement->uid || saved != confinement->uid)
		return -EPERM;

	*ret_step = "set limits";
	r = lower_limits(confinement);
	if (r < 0)
		return r;

	*ret_step = "leave the keyring";
	r = leave_keyring();
	if (r < 0)
		return r;
	return restrict_itself(confinement, ret_step);
}
