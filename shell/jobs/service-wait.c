/* SPDX-License-Identifier: MIT */
/*
 * Starting a service, and looking until it is healthy or will not be (service.h).
 *
 * Each round reads what it wrote since, then looks. The first end of its main process is the end: that systemd would try again in five
 * seconds does not make a program healthy that just failed. A server that listens on loopback is looked at twice, as some begin with it.
 */
#include "shell/jobs/journal.h"
#include "shell/jobs/service.h"
#include "shell/tools/clean.h"

#include <regex.h>
#include <string.h>

#define ROUND_USEC (200 * UINT64_C(1000))
#define ASK_USEC USEC_PER_SEC          /* between questions to a server that answers: each is a line of its log */
#define SETTLE_USEC (2 * USEC_PER_SEC) /* what has neither port nor line to wait for runs that long */
#define LATE_USEC (2 * USEC_PER_SEC)   /* the journal may come behind the end of the program that wrote it */
#define LATE_ROUNDS (LATE_USEC / ROUND_USEC)
#define QUIET_ROUNDS 3U /* without another line: that was all */
#define MOST_ROUNDS 50U
#define PROBE_MSEC 2000
#define TAIL_LINES 20U

typedef struct Watch {
	const Service *service;
	ServiceWait *wait;
	Journal *journal; /* NULL: it cannot be read, and nothing is shown */
	regex_t ready;
	bool has_ready, is_ready;
	uint64_t began_usec, restarts;
	unsigned int loopback; /* looks in a row */
} Watch;

static void watch_done(Watch *watch)
{
	journal_free(watch->journal);
	if (watch->has_ready)
		regfree(&watch->ready);
}

static void tail_add(StrList *tail, const char *text)
{
	if (tail->n == TAIL_LINES) {
		free(tail->items[0]);
		memmove(tail->items, tail->items + 1,
			sizeof(*tail->items) * tail->n); /* with the NULL behind the last */
		tail->n--;
	}
	(void)!strlist_add(tail, text);
}

/* All that it wrote until now. Returns true when there was something. */
static bool log_read(Watch *watch)
{
	JournalLine line;
	bool some = false;

	while (watch->journal && journal_next(watch->journal, &line) > 0) {
		_cleanup_free_ char *clean = NULL;
		size_t n;

		if (line.by_manager || text_clean(line.text, line.n, true, &clean, &n) < 0)
			continue;
		some = true;
		if (watch->has_ready && regexec(&watch->ready, line.text, 0, NULL, 0) == 0)
			watch->is_ready = true;
		tail_add(&watch->wait->tail, clean);
		if (!watch->wait->quiet)
			(void)fprintf(stderr, "  | %s\n", clean);
	}
	return some;
}

/* Its last words come one by one. Rounds are counted: when a machine stood still time is over, and journald did nothing yet. */
static void log_read_late(Watch *watch)
{
	const struct timespec time = { .tv_nsec = (long)ROUND_USEC * 1000 };
	unsigned int quiet = 0;

	for (unsigned int i = 0; watch->journal && i < MOST_ROUNDS; i++) {
		quiet = log_read(watch) ? 0 : quiet + 1;
		if (quiet >= (watch->wait->tail.n ? QUIET_ROUNDS : LATE_ROUNDS))
			return;
		(void)nanosleep(&time, NULL);
		(void)!journal_wait(watch->journal, 0);
	}
}

static void pause_for(Watch *watch)
{
	struct timespec time = { .tv_nsec = (long)ROUND_USEC * 1000 };

	if (!watch->journal || journal_wait(watch->journal, ROUND_USEC) < 0)
		(void)nanosleep(&time, NULL);
}

static int watch_begin(Watch *watch, Reason *ret_reason)
{
	const ServiceSpec *spec = &watch->service->spec;
	Reason ignored;
	char words[128];
	int r;

	if (spec->health == HEALTH_LOG) {
		r = regcomp(&watch->ready, spec->health_text, REG_EXTENDED | REG_NOSUB);
		if (r != 0) {
			(void)regerror(r, &watch->ready, words, sizeof(words));
			return reason_set(ret_reason, -EINVAL, "--ready-log: %s", words);
		}
		watch->has_ready = true;
	}
	r = journal_open(watch->service->unit, &watch->journal, spec->health == HEALTH_LOG ? ret_reason : &ignored);
	if (r == 0)
		r = journal_from_time(watch->journal, now_realtime());
	return spec->health == HEALTH_LOG ? r : 0;
}

/* It ended at least once, or was never there. */
static bool ended(const Watch *watch, const ServiceState *state)
{
	return !service_runs(state) || strcmp(state->unit.sub, "auto-restart") == 0 ||
	       state->unit.restarts != watch->restarts;
}

static bool is_healthy(const Watch *watch, const ServiceState *state)
{
	switch (watch->service->spec.health) {
	case HEALTH_RUNNING:
		return now_monotonic() - watch->began_usec >= SETTLE_USEC;
	case HEALTH_LOG:
		return watch->is_ready && !state->loopback;
	default:
		return service_is_healthy(watch->service, state);
	}
}

/* Returns 0 (healthy), -EPROTO (it will not be), -EAGAIN, or another negative errno with the reason. */
static int look(Watch *watch, Manager *manager, ServiceState *ret, Reason *ret_reason)
{
	ServiceState state;
	int r = service_look(manager, watch->service, PROBE_MSEC, &state, ret_reason);

	if (r < 0)
		return r;
	service_state_done(ret);
	*ret = state;
	if (strcmp(state.unit.active, "activating") == 0 && strcmp(state.unit.sub, "auto-restart") != 0)
		return -EAGAIN;
	if (ended(watch, &state))
		return -EPROTO;
	if (is_healthy(watch, &state))
		return 0;
	watch->loopback = state.loopback ? watch->loopback + 1 : 0;
	return watch->loopback > 1 ? -EPROTO : -EAGAIN;
}

static int watch_go(Watch *watch, Manager *manager, ServiceState *ret, Reason *ret_reason)
{
	uint64_t next = 0, now;
	int r = -EAGAIN;

	for (;;) {
		now = now_monotonic();
		(void)log_read(watch);
		if (now >= next || watch->is_ready) {
			r = look(watch, manager, ret, ret_reason);
			next = now + (ret->asked ? ASK_USEC : 0);
		}
		if (r != -EAGAIN)
			break;
		if (now - watch->began_usec >= watch->wait->timeout_usec) {
			r = -EPROTO;
			break;
		}
		pause_for(watch);
	}
	if (r == 0)
		(void)log_read(watch); /* what it said while it was looked at */
	if (r == -EPROTO) {
		if (!service_runs(ret))
			log_read_late(watch);
		service_why(watch->service, ret, &watch->wait->tail, now - watch->began_usec, ret_reason);
	}
	return r;
}

/* What systemd says about the lines of its file, into the reason. Returns false when it says nothing. */
static bool file_complaints(const Service *service, Reason *ret)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	JournalLine line;
	Reason ignored;
	bool some = false;

	if (journal_open_file(service->path, &journal, &ignored) < 0 ||
		journal_from_time(journal, service->changed_usec) < 0)
		return false;
	while (journal_next(journal, &line) > 0)
		if (line.n && !strstr(ret->text, line.text)) {
			size_t n = strlen(ret->text);

			(void)snprintf(ret->text + n, sizeof(ret->text) - n, "%s%s", n ? "; " : "", line.text);
			some = true;
		}
	return some;
}

void service_file_why(const Service *service, const Unit *unit, Reason *ret)
{
	Reason said = { "" };

	if (strcmp(unit->load, "masked") == 0) {
		(void)reason_set(ret, 0, "it is masked: systemctl --user unmask %s", service->unit);
		return;
	}
	/* what was read just now may not be in the journal yet */
	for (unsigned int i = 0; i < LATE_ROUNDS && !file_complaints(service, &said); i++) {
		struct timespec time = { .tv_nsec = (long)ROUND_USEC * 1000 };

		(void)nanosleep(&time, NULL);
	}
	(void)reason_set(ret, 0, "systemd cannot use %s (%s): %.700s; mend the file", service->path, unit->load,
		*said.text ? said.text : "systemctl --user status says why");
}

/* It is loaded as its file is now. -EBADMSG: systemd cannot use the file. */
static int load(Manager *manager, const Service *service, Unit *unit, Reason *ret_reason)
{
	int r = manager_reload(manager, ret_reason);

	if (r == 0)
		r = manager_unit(manager, service->unit, unit, ret_reason);
	if (r < 0 || strcmp(unit->load, "loaded") == 0)
		return r;
	service_file_why(service, unit, ret_reason);
	return -EBADMSG;
}

int service_start(Manager *manager, const Service *service, const char *method, ServiceWait *wait, ServiceState *ret,
	Reason *ret_reason)
{
	_cleanup_(watch_done) Watch watch = { .service = service, .wait = wait };
	_cleanup_state_ ServiceState state = { 0 };
	_cleanup_unit_ Unit unit = { 0 };
	int r = load(manager, service, &unit, ret_reason);

	if (r < 0)
		return r;
	manager_reset(manager, service->unit);
	r = watch_begin(&watch, ret_reason);
	if (r < 0)
		return r;
	/* what runs already is not started by "start", and said long ago that it is ready */
	watch.is_ready = strcmp(method, "StartUnit") == 0 && strcmp(unit.active, "active") == 0;
	watch.began_usec = now_monotonic();
	/* by hand it starts counting anew */
	watch.restarts = 0;
	r = manager_change(manager, method, service->unit, SERVICE_JOB_TIMEOUT, ret_reason);
	if (r < 0 && r != -EREMOTEIO && r != -ETIMEDOUT)
		return r;
	r = watch_go(&watch, manager, &state, ret_reason);
	if (r == 0 || r == -EPROTO) {
		*ret = state;
		state = (ServiceState){ 0 };
	}
	return r;
}
