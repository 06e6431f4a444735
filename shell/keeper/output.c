/* SPDX-License-Identifier: MIT */
/*
 * The output folder of a run: creel-collect remembers it, and tells what the run put there. It is the agent's own process, in
 * a leaf of its own beside the run's, confined as the keeper confines all; the keeper starts it, sends it one byte, and reads
 * records that it believes nothing of. It never waits for it: neither before the run, which begins while the folder is being
 * remembered (shell/collect/memory.c says why that is sound), nor after it for longer than OUTPUTS_MOST_USEC.
 *
 * What cannot be collected takes nothing from the result of a run but its list of files.
 */
#include "shell/keeper/run.h"
#include "shell/base/log.h"
#include "shell/base/utf8.h"
#include "shell/collect/listing.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define COLLECTOR CREEL_LIBEXECDIR "/creel-collect"
#define OUTPUTS_MOST_USEC (UINT64_C(30) * 1000 * 1000) /* a little more than the collector gives itself */
#define PIECE 65536U
#define NAMES_MAX (256U * 1024) /* bytes of all names together; the rest is counted */

struct Outputs {
	Run *run; /* NULL: nobody waits any more */
	Keeper *keeper;
	char name[40]; /* of the leaf */
	int leaf_fd, pid_fd;
	int word_fd, records_fd; /* our ends of its stdin and stdout */
	bool collecting;         /* the run is over */
	bool over;               /* it said all that it had to say, or cannot */
	ListingReader reader;
	size_t names;
	uint64_t left_out;
	sd_event_source *records_source, *exit_source, *timer;
};

static Outputs *outputs_free(Outputs *outputs)
{
	if (outputs) {
		sd_event_source_disable_unref(outputs->records_source);
		sd_event_source_disable_unref(outputs->exit_source);
		sd_event_source_disable_unref(outputs->timer);
		fd_close(outputs->leaf_fd);
		fd_close(outputs->pid_fd);
		fd_close(outputs->word_fd);
		fd_close(outputs->records_fd);
		free(outputs);
	}
	return NULL;
}
DEFINE_CLEANUP(Outputs, outputs_free)

/* ---- what it tells ---- */

/* A name as text: bytes that are no UTF-8 as \xNN. */
static char *name_text(const char *name)
{
	size_t n = strlen(name), used = 0;
	char *text = malloc(4 * n + 1);

	for (size_t i = 0; text && i < n;) {
		size_t length = utf8_length(name + i, n - i);

		if (length) {
			memcpy(text + used, name + i, length);
			used += length;
			i += length;
		} else {
			used += (size_t)sprintf(text + used, "\\x%02x", (unsigned char)name[i++]);
		}
	}
	if (text)
		text[used] = '\0';
	return text;
}

static char *digest_text(const uint8_t *digest)
{
	char *text = malloc(2 * LISTING_DIGEST + 1);

	for (size_t i = 0; text && i < LISTING_DIGEST; i++)
		(void)sprintf(text + 2 * i, "%02x", digest[i]);
	return text;
}

static int add_file(Outputs *outputs, const Listing *listing)
{
	Run *run = outputs->run;
	_cleanup_free_ char *name = name_text(listing->name),
			    *digest = listing->status == RUN_FILE_OK ? digest_text(listing->digest) : strdup("");

	if (!run->files)
		run->files = calloc(RUN_FILES_MAX, sizeof(*run->files));
	if (!run->files || !name || !digest)
		return -ENOMEM;
	if (outputs->names + strlen(name) > NAMES_MAX) {
		outputs->left_out++;
		return 0;
	}
	outputs->names += strlen(name);
	run->files[run->n_files++] =
		(RunFile){ .name = name, .bytes = listing->number, .sha256 = digest, .status = listing->status };
	name = digest = NULL;
	return 0;
}

/* Nothing more comes: `error` is 0, or why not all came. May free the run. */
static void finish(Outputs *outputs, int error)
{
	Run *run = outputs->run;

	outputs->over = true;
	outputs->records_source = sd_event_source_disable_unref(outputs->records_source);
	outputs->timer = sd_event_source_disable_unref(outputs->timer);
	outputs->word_fd = fd_close(outputs->word_fd);
	/* it said all, and may have been stopped before it ends by itself */
	if (leaf_kill(outputs->leaf_fd) < 0)
		log_error("cannot end %s", outputs->name);
	if (!run)
		return;
	if (error) {
		log_warning("the output folder of run %llu cannot be listed: %s", (unsigned long long)run->number,
			strerror(-error));
		run->files_left_out = UINT64_MAX;
	}
	if (outputs->collecting) {
		outputs->run = NULL;
		run->outputs = NULL;
		run_finish(run);
	}
}

/* 1: all was said. */
static int take(Outputs *outputs, const Listing *listing)
{
	switch (listing->type) {
	case LISTING_READY:
		return 0;
	case LISTING_FILE:
		return outputs->collecting ? add_file(outputs, listing) : -EBADMSG;
	case LISTING_END:
		outputs->run->files_left_out = outputs->left_out + listing->number;
		return outputs->collecting ? 1 : -EBADMSG;
	case LISTING_FAILED:
		return listing->number && listing->number < 4096 ? -(int)listing->number : -EBADMSG;
	}
	return -EBADMSG;
}

static int take_all(Outputs *outputs, const uint8_t *bytes, size_t n)
{
	Listing listing;
	int r;

	while ((r = listing_read(&outputs->reader, &bytes, &n, &listing)) > 0) {
		r = take(outputs, &listing);
		if (r)
			return r;
	}
	return r;
}

/* 0: more may come; 1: all was said; or why not. */
static int read_records(Outputs *outputs)
{
	static uint8_t bytes[PIECE];
	ssize_t n = read(outputs->records_fd, bytes, sizeof(bytes));

	if (n < 0)
		return -errno;
	return n == 0 ? -ECONNABORTED : take_all(outputs, bytes, (size_t)n);
}

static int on_records(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	int r = read_records(userdata);

	if (r && r != -EAGAIN)
		finish(userdata, r < 0 ? r : 0);
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	finish(userdata, -ETIMEDOUT);
	return 0;
}

/* The leaf goes with it. What it said before may be in the pipe still: its end is read there. */
static int on_collector_exit(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Outputs *outputs = userdata;

	while (!outputs->over) {
		int r = read_records(outputs);

		if (r)
			finish(outputs, r < 0 ? r : 0);
	}
	if (leaf_remove(outputs->keeper->leaves_fd, outputs->name) < 0)
		log_error("cannot remove the leaf %s", outputs->name);
	if (outputs->run)
		outputs->run->outputs = NULL;
	outputs_free(outputs);
	return 0;
}

/* ---- its birth ---- */

/* As the agent, like mkdir -p; what cannot be made is missed by who opens it. A run finds it there from its beginning. */
static int make_folder(Run *run)
{
	const Keeper *keeper = run->keeper;
	int r;

	r = identity_borrow(keeper->identity);
	if (r < 0)
		return r;
	for (char *slash = run->output_directory + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(run->output_directory, 0755);
		*slash = '/';
	}
	(void)mkdir(run->output_directory, 0755);
	identity_give_back();
	return 0;
}

static uint64_t coarse_nsec(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int make_arguments(const Run *run, StrList *ret)
{
	_cleanup_strlist_ StrList list = { 0 };
	const Policy *policy = run->keeper->policy;
	int r;

	/* a call of a session may begin when the policy is a bad one */
	if (!policy)
		return -EBADMSG;
	r = strlist_add(&list, "creel-collect");
	if (!r)
		r = strlist_add(&list, run->output_directory);
	if (!r)
		r = strlist_push(&list, str_format("%llu", (unsigned long long)policy->output_max_file_size));
	if (!r)
		r = strlist_push(&list, str_format("%llu", (unsigned long long)coarse_nsec()));
	for (size_t i = 0; !r && i < policy->output_types.n; i++)
		r = strlist_add(&list, policy->output_types.items[i]);
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

static int give_birth(Outputs *outputs)
{
	static char *const no_environment[] = { NULL };
	_cleanup_close_ int word_fd = -EBADF, records_fd = -EBADF, null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_strlist_ StrList arguments = { 0 };
	BirthRequest order = {
		.leaf_fd = outputs->leaf_fd,
		.confinement = &outputs->keeper->confinement,
		.program = COLLECTOR,
		.environment = no_environment,
		.home = "/",
	};
	int word[2], records[2], r;
	pid_t pid;

	if (null_fd < 0 || pipe2(word, O_CLOEXEC) < 0)
		return -errno;
	word_fd = word[0];
	outputs->word_fd = word[1];
	if (pipe2(records, O_CLOEXEC) < 0)
		return -errno;
	outputs->records_fd = records[0];
	records_fd = records[1];
	if (fcntl(outputs->records_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = make_arguments(outputs->run, &arguments);
	if (r < 0)
		return r;
	order.arguments = arguments.items;
	order.input_fd = word_fd;
	order.output_fd = records_fd;
	order.error_fd = null_fd;
	return birth(&order, &pid, &outputs->pid_fd);
}

static void abort_birth(Outputs *outputs)
{
	siginfo_t info;

	if (outputs->pid_fd < 0)
		return;
	if (leaf_kill(outputs->leaf_fd) < 0)
		log_error("cannot end %s", outputs->name);
	else
		(void)waitid(P_PIDFD, (id_t)outputs->pid_fd, &info, WEXITED);
}

static int watch(Outputs *outputs)
{
	sd_event *event = outputs->keeper->event;
	int r;

	r = sd_event_add_io(event, &outputs->records_source, outputs->records_fd, EPOLLIN, on_records, outputs);
	if (r >= 0)
		r = sd_event_add_child_pidfd(
			event, &outputs->exit_source, outputs->pid_fd, WEXITED, on_collector_exit, outputs);
	return r < 0 ? r : 0;
}

static int start(Outputs *outputs, uint64_t number)
{
	int r;

	(void)snprintf(outputs->name, sizeof(outputs->name), "outputs-%llu", (unsigned long long)number);
	r = leaf_make(outputs->keeper->leaves_fd, outputs->name, NULL, false, &outputs->leaf_fd);
	if (r < 0)
		return r;
	r = give_birth(outputs);
	if (!r)
		r = watch(outputs);
	if (r < 0) {
		abort_birth(outputs);
		if (leaf_remove(outputs->keeper->leaves_fd, outputs->name) < 0)
			log_error("cannot remove the leaf %s", outputs->name);
	}
	return r;
}

/* ---- for runs ---- */

static int begin(Run *run)
{
	_cleanup_(outputs_freep) Outputs *outputs = calloc(1, sizeof(*outputs));
	int r;

	if (!outputs)
		return -ENOMEM;
	outputs->run = run;
	outputs->keeper = run->keeper;
	outputs->leaf_fd = outputs->pid_fd = outputs->word_fd = outputs->records_fd = -EBADF;
	r = start(outputs, run->number);
	if (r < 0)
		return r;
	run->outputs = TAKE_PTR(outputs);
	return 0;
}

void outputs_begin(Run *run)
{
	int r = 0;

	if (run->options.collect || run->options.figures || run->options.independent)
		r = make_folder(run);
	if (!r && run->options.collect)
		r = begin(run);
	if (r < 0) {
		log_warning("the output folder of run %llu cannot be remembered: %s", (unsigned long long)run->number,
			strerror(-r));
		run->files_left_out = UINT64_MAX;
	}
}

/* Stop, or its caller went: nobody waits for a list. */
static void stop_collecting(Run *run)
{
	finish(run->outputs, -ECANCELED);
}

void outputs_collect(Run *run)
{
	Outputs *outputs = run->outputs;
	int r;

	if (!outputs || outputs->over || !run->peer) {
		outputs_abandon(run);
		run_finish(run);
		return;
	}
	outputs->collecting = true;
	run->stop = stop_collecting;
	r = sd_event_add_time_relative(
		run->keeper->event, &outputs->timer, CLOCK_MONOTONIC, OUTPUTS_MOST_USEC, 1000, on_late, outputs);
	/* one byte fits into an empty pipe, whatever the reader does */
	if (r >= 0 && write(outputs->word_fd, "g", 1) != 1)
		r = -errno;
	if (r < 0)
		finish(outputs, r);
}

void outputs_abandon(Run *run)
{
	Outputs *outputs = run->outputs;

	if (!outputs)
		return;
	outputs->run = NULL;
	run->outputs = NULL;
	if (!outputs->over)
		finish(outputs, -ECANCELED);
}
