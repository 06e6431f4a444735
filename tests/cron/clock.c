/* SPDX-License-Identifier: MIT */
/*
 * Debian's cron under a clock of its own (LD_PRELOAD): it lives through years of minutes in a second, and says what it starts.
 *
 * CLOCK_FROM, CLOCK_TO: seconds since the epoch. CLOCK_LOG: a file that gets "MINUTE COMMAND" for each command that it would have
 * executed. Its waiting is what moves the clock; only the ten seconds between two lots of jobs take no time.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static time_t now;
static bool child;

static time_t setting(const char *name)
{
	const char *text = getenv(name);

	if (!text)
		abort();
	return (time_t)atoll(text);
}

time_t time(time_t *ret)
{
	if (!now)
		now = setting("CLOCK_FROM");
	if (ret)
		*ret = now;
	return now;
}

unsigned int sleep(unsigned int seconds)
{
	if (seconds != 10)
		now += seconds;
	if (now > setting("CLOCK_TO"))
		_exit(0);
	return 0;
}

/* The child of a job is the job's process at once, and is waited for. */
pid_t fork(void)
{
	pid_t pid;

	if (child)
		return 0;
	pid = (pid_t)syscall(SYS_fork);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	child = pid == 0;
	return pid;
}

static void log_command(const char *format, va_list ap)
{
	char line[1200], entry[1300], *begin;
	int fd, n;

	(void)vsnprintf(line, sizeof(line), format, ap);
	begin = strstr(line, " CMD (");
	if (!begin || !child)
		return;
	begin += strlen(" CMD (");
	begin[strlen(begin) - 1] = '\0';
	n = snprintf(entry, sizeof(entry), "%lld %s\n", (long long)now / 60, begin);
	fd = open(getenv("CLOCK_LOG"), O_WRONLY | O_APPEND | O_CREAT, 0600);
	if (fd < 0 || write(fd, entry, (size_t)n) != n)
		abort();
	_exit(0);
}

void syslog(int level, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_command(format, ap);
	va_end(ap);
}

/* what a hardened build calls instead */
void __syslog_chk(int level, int flag, const char *format, ...);
void __syslog_chk(int level, int flag, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_command(format, ap);
	va_end(ap);
}

/* no PAM */
int pam_start(const char *service, const char *user, const void *conversation, void **ret);
int pam_set_item(void *pam, int item, const void *value);
int pam_acct_mgmt(void *pam, int flags);
int pam_setcred(void *pam, int flags);
int pam_open_session(void *pam, int flags);
int pam_close_session(void *pam, int flags);
int pam_end(void *pam, int status);
char **pam_getenvlist(void *pam);

int pam_start(const char *service, const char *user, const void *conversation, void **ret)
{
	*ret = &now;
	return 0;
}

int pam_set_item(void *pam, int item, const void *value)
{
	return 0;
}

int pam_acct_mgmt(void *pam, int flags)
{
	return 0;
}

int pam_setcred(void *pam, int flags)
{
	return 0;
}

int pam_open_session(void *pam, int flags)
{
	return 0;
}

int pam_close_session(void *pam, int flags)
{
	return 0;
}

int pam_end(void *pam, int status)
{
	return 0;
}

char **pam_getenvlist(void *pam)
{
	return calloc(1, sizeof(char *));
}
