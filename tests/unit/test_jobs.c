/* SPDX-License-Identifier: MIT */
#include "shell/base/job-words.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/jobs/joblog.h"
#include "shell/jobs/journal.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/program.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"
#include "shell/jobs/tail.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_names(void **state)
{
	static const char *const good[] = { "a", "7", "my-api", "A.b_c-1",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	static const struct {
		const char *name, *why;
	} bad[] = {
		{ "", "empty" },
		{ "-a", "begin with `-`" },
		{ ".a", "begin with `.`" },
		{ "a b", "space" },
		{ "a/b", "slash" },
		{ "../x", "slash" },
		{ "a\n", "control" },
		{ "a;b", "`;`" },
		{ "\xc3\xa4", "ASCII" },
		{ "a@b", "`@`" },
		{ "01234567890123456789012345678901234567890123456789012345678901234", "65 characters" },
	};
	Reason reason;

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_int_equal(jobs_name_check(good[i], &reason), 0);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_int_equal(jobs_name_check(bad[i].name, &reason), -EINVAL);
		if (!strstr(reason.text, bad[i].why))
			fail_msg("%s: %s", bad[i].name, reason.text);
	}
}

static void test_spans(void **state)
{
	static const struct {
		const char *text;
		uint64_t usec;
	} good[] = {
		{ "0", 0 },
		{ "90", 90 * USEC_PER_SEC },
		{ "90s", 90 * USEC_PER_SEC },
		{ "500ms", 500000 },
		{ "1.5h", 5400 * USEC_PER_SEC },
		{ "1h30m", 5400 * USEC_PER_SEC },
		{ "1h 30min", 5400 * USEC_PER_SEC },
		{ "2d", 172800 * USEC_PER_SEC },
	};
	static const char *const bad[] = { "", "s", "-1", "1x", "1.", "1.s", ".5", "1h-3", " 1", "0x10", "1e3", "nan",
		"99999999999999999999", "4000d" };
	static const struct {
		uint64_t usec;
		const char *text;
	} texts[] = {
		{ 0, "0.0s" },
		{ 340000, "0.3s" },
		{ 12900000, "12s" },
		{ 185 * USEC_PER_SEC, "3m 5s" },
		{ 7800 * USEC_PER_SEC, "2h 10m" },
		{ (4 * 24 + 3) * 3600 * USEC_PER_SEC, "4d 3h" },
		{ USEC_UNKNOWN, "-" },
	};
	char buffer[32];
	uint64_t usec;

	for (size_t i = 0; i < ELEMENTSOF(good); i++) {
		assert_int_equal(span_parse(good[i].text, &usec), 0);
		assert_int_equal(usec, good[i].usec);
	}
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_true(span_parse(bad[i], &usec) < 0);
	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		assert_string_equal(span_text(texts[i].usec, buffer, sizeof(buffer)), texts[i].text);
	assert_string_equal(
		when_json(UINT64_C(1771765500) * USEC_PER_SEC, buffer, sizeof(buffer)), "2026-02-22T13:05:00Z");
	assert_string_equal(when_json(0, buffer, sizeof(buffer)), "");
	assert_string_equal(when_text(0, buffer, sizeof(buffer)), "-");
}

static void test_options(void **state)
{
	const char *value = NULL, *items[2];
	bool flag = false;
	_cleanup_strlist_ StrList list = { 0 };
	const Option options[] = { { "--json", .flag = &flag }, { "--lines", "-n", .value = &value },
		{ "--env", .list = &list }, { NULL } };
	Words words = { items, .max = ELEMENTSOF(items) };
	char *good[] = { "name", "-n", "5", "--json", "--env=A=b", "--env", "C=d=e", "-", "--", "--json", "x", NULL };
	char *unknown[] = { "--nothing", NULL }, *none[] = { "--lines", NULL }, *many[] = { "a", "b", "c", NULL };
	char *with[] = { "--json=yes", NULL };
	Reason reason;

	assert_int_equal(options_read(ELEMENTSOF(good) - 1, good, options, &words, &reason), 0);
	assert_true(flag);
	assert_string_equal(value, "5");
	assert_int_equal(list.n, 2);
	assert_string_equal(list.items[0], "A=b");
	assert_string_equal(list.items[1], "C=d=e");
	assert_int_equal(words.n, 2);
	assert_string_equal(words.items[1], "-");
	assert_int_equal(words.command_n, 2);
	assert_string_equal(words.command[0], "--json");
	assert_int_equal(options_read(1, unknown, options, &words, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "--nothing"));
	assert_int_equal(options_read(1, none, options, &words, &reason), -EINVAL);
	assert_int_equal(options_read(3, many, options, &words, &reason), -EINVAL);
	assert_int_equal(options_read(1, with, options, &words, &reason), -EINVAL);
	assert_null(words.command);
}

/* A home of its own for a test; it stays open as `ret_fd`. */
static void home_make(char *home, int *ret_fd)
{
	assert_non_null(mkdtemp(home));
	assert_int_equal(setenv("HOME", home, 1), 0);
	*ret_fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
}

static void test_folders(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX", text[16];
	_cleanup_close_ int home_fd = -EBADF, fd = -EBADF, log_fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	Reason reason;

	home_make(home, &home_fd);
	path = home_path("a/b", "c");
	assert_non_null(path);
	assert_string_equal(path + strlen(home), "/a/b/c");
	assert_int_equal(folder_open("a/b", false, &reason), -ENOENT);
	fd = folder_open("a/b", true, &reason);
	assert_true(fd >= 0);
	assert_int_equal(folder_put(fd, "a/b", "c", "new", 3, 0600, &reason), 0);

	/* a link is replaced, not followed */
	assert_int_equal(symlinkat("/etc/passwd", fd, "link"), 0);
	assert_int_equal(folder_put(fd, "a/b", "link", "x", 1, 0600, &reason), 0);
	assert_int_equal(fstatat(fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(symlinkat("/tmp/elsewhere", fd, "log"), 0);
	assert_int_equal(folder_log(fd, "log", true), -ELOOP);
	assert_int_equal(unlinkat(fd, "log", 0), 0);
	assert_int_equal(mkfifoat(fd, "log", 0600), 0);
	log_fd = folder_log(fd, "log", true);
	assert_true(log_fd < 0);
	assert_int_equal(unlinkat(fd, "log", 0), 0);

	/* what was there becomes the old one; nothing does not */
	log_fd = folder_log(fd, "c", true);
	assert_true(log_fd >= 0);
	assert_int_equal(write(log_fd, "2", 1), 1);
	fd_close(log_fd);
	log_fd = openat(fd, "c.old", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(log_fd, text, sizeof(text)), 3);
	fd_close(log_fd);
	log_fd = folder_log(fd, "c", false);
	assert_int_equal(fstat(log_fd, &st), 0);
	assert_int_equal(st.st_size, 1);

	/* a file where a folder should be is named */
	assert_true(folder_open("a/b/c/d", true, &reason) < 0);
	assert_non_null(strstr(reason.text, "~/a/b/c"));
	for (size_t i = 0; i < 3; i++)
		(void)unlinkat(fd, (const char *[]){ "c", "c.old", "link" }[i], 0);
	(void)unlinkat(home_fd, "a/b", AT_REMOVEDIR);
	(void)unlinkat(home_fd, "a", AT_REMOVEDIR);
	assert_int_equal(rmdir(home), 0);
}

static char *table_text(const Table *table, size_t width)
{
	char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	assert_non_null(file);
	table_print(table, file, width, false);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void test_tables(void **state)
{
	static const TableColumn columns[] = { { "NAME", .cut = true }, { "PID", .right = true },
		{ "WHAT", .cut = true } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	_cleanup_free_ char *none = NULL, *wide = NULL, *narrow = NULL;

	assert_non_null(table);
	none = table_text(table, 0);
	assert_string_equal(none, "");
	assert_int_equal(table_add(table, (const char *[]){ "a", "17", "evil\033[2J\n" }), 0);
	assert_int_equal(table_add(table, (const char *[]){ "longer-name", "", "\xc3\xa4" }), 0);
	wide = table_text(table, 0);
	assert_string_equal(wide, "NAME         PID  WHAT\n"
				  "a             17  evil\\x1b[2J\\x0a\n"
				  "longer-name    -  \xc3\xa4\n");
	narrow = table_text(table, 24);
	table_cut(table, 2);
	assert_int_equal(table_rows(table), 2);
	table_cut(table, 1);
	assert_int_equal(table_rows(table), 1);
	assert_string_equal(narrow, "NAME      PID  WHAT\n"
				    "a          17  evil\\x1b~\n"
				    "longer-~    -  \xc3\xa4\n");
}

/* ---- jobs ---- */

static void test_records(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "{}", "{\"name\":\"\"}", "{\"name\":7,\"started_usec\":1}",
		"{\"name\":\"a\",\"started_usec\":-1}", "{\"name\":\"a\",\"started_usec\":\"1\"}" };
	_cleanup_job_record_ JobRecord record = { .name = "a",
		.id = "17",
		.restart = true,
		.timeout_usec = UINT64_MAX,
		.started_usec = 5,
		.restarts = 2,
		.pid = 99,
		.result = "signal",
		.exit_code = -1,
		.signal = 9,
		.memory_peak = 4096,
		.cpu_usec = UINT64_MAX };
	_cleanup_job_record_ JobRecord read = { 0 };
	_cleanup_free_ char *text = NULL;
	Reason reason;
	size_t n;

	assert_int_equal(strlist_add(&record.command, "sh"), 0);
	assert_int_equal(strlist_add(&record.command, "\"\n\xc3\xa4"), 0);
	text = job_record_text(&record, &n);
	assert_non_null(text);
	assert_int_equal(job_record_parse(text, n, &read, &reason), 0);
	assert_string_equal(read.id, "17");
	assert_int_equal(read.command.n, 2);
	assert_string_equal(read.command.items[1], "\"\n\xc3\xa4");
	assert_true(read.restart);
	assert_true(read.timeout_usec == UINT64_MAX && read.cpu_usec == UINT64_MAX && read.memory_peak == 4096);
	assert_int_equal(read.ended_usec, 0);
	assert_int_equal(read.exit_code, -1);
	assert_int_equal(read.signal, 9);
	assert_int_equal(read.pid, 99);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_int_equal(job_record_parse(bad[i], strlen(bad[i]), &read, &reason), -EINVAL);
}

/* What execve(2) takes can be read again. */
static void test_record_of_a_long_command(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX", word[100 * 1024];
	_cleanup_job_record_ JobRecord record = { .name = "long", .id = "7", .started_usec = 1 }, read = { 0 };
	_cleanup_close_ int home_fd = -EBADF;
	Reason reason;

	home_make(home, &home_fd);
	memset(word, '"', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(strlist_add(&record.command, word), 0);
	assert_int_equal(job_record_write(&record, &reason), 0);
	assert_int_equal(job_record_read("long", &read, &reason), 0);
	assert_int_equal(read.command.n, 20);
	assert_string_equal(read.command.items[19], word);
	assert_int_equal(unlinkat(home_fd, FOLDER_JOBS "/long.json", 0), 0);
	(void)unlinkat(home_fd, FOLDER_JOBS, AT_REMOVEDIR);
	(void)unlinkat(home_fd, ".creel", AT_REMOVEDIR);
	assert_int_equal(rmdir(home), 0);
}

static void test_statuses(void **state)
{
	Job job = { .record = { .exit_code = 7 }, .state = JOB_FAILED };
	char words[128];

	assert_int_equal(job_exit_status(&job), 7);
	assert_string_equal(job_words(&job, words, sizeof(words)), "exit 7");
	job.state = JOB_KILLED;
	job.record.exit_code = -1;
	job.record.signal = 9;
	assert_int_equal(job_exit_status(&job), 137);
	assert_string_equal(job_words(&job, words, sizeof(words)), "SIGKILL");
	job.state = JOB_MEMORY;
	assert_string_equal(job_words(&job, words, sizeof(words)), "out of memory");
	job.state = JOB_TIMEOUT;
	job.record.timeout_usec = 90 * USEC_PER_SEC;
	assert_int_equal(job_exit_status(&job), 124);
	assert_string_equal(job_words(&job, words, sizeof(words)), "time limit of 1m 30s");
	job.state = JOB_LOST;
	job.record.signal = 0;
	assert_int_equal(job_exit_status(&job), 1);
}

static size_t size_of(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (size_t)st.st_size;
}

static void test_logs(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX", line[] = "0123456789\n", bytes[64];
	_cleanup_close_ int fd = -EBADF, read_fd = -EBADF;
	Log log;

	home_make(home, &fd);
	assert_int_equal(log_begin(fd, "x.log", true, 100, &log), 0);
	for (size_t i = 0; i < 100; i++) {
		log_add(&log, line, sizeof(line) - 1);
		assert_true(size_of(fd, "x.log") <= 100 && size_of(fd, "x.log.1") <= 100);
	}
	/* whole lines: nine of them are what fits */
	assert_int_equal(size_of(fd, "x.log.1"), 99);
	assert_int_equal(size_of(fd, "x.log"), 11);

	/* one that fits nowhere is cut */
	memset(bytes, 'a', sizeof(bytes));
	for (size_t i = 0; i < 10; i++)
		log_add(&log, bytes, sizeof(bytes));
	assert_true(size_of(fd, "x.log") <= 100 && size_of(fd, "x.log.1") <= 100);

	/* taken away: it is made again */
	assert_int_equal(unlinkat(fd, "x.log", 0), 0);
	log_add(&log, line, sizeof(line) - 1);
	assert_int_equal(size_of(fd, "x.log"), 11);

	/* nothing can be written: it is counted, and told when it can be again */
	fd_close(log.fd);
	log.fd = openat(fd, "x.log", O_RDONLY | O_CLOEXEC);
	log_add(&log, bytes, 20);
	assert_int_equal(log.lost, 20);
	assert_int_equal(log.error, EBADF);
	fd_close(log.fd);
	log.fd = openat(fd, "x.log", O_WRONLY | O_APPEND | O_CLOEXEC);
	log.max = 1000;
	log_add(&log, line, sizeof(line) - 1);
	assert_int_equal(log.lost, 0);
	read_fd = openat(fd, "x.log", O_RDONLY | O_CLOEXEC);
	assert_true(lseek(read_fd, 11, SEEK_SET) == 11);
	assert_true(read(read_fd, bytes, 40) == 40);
	assert_memory_equal(bytes, "\n[creel: 20 bytes were not written: ", 36);
	log_end(&log);

	/* the next job of that name */
	assert_int_equal(log_begin(fd, "x.log", true, 100, &log), 0);
	assert_true(size_of(fd, "x.log") == 0 && size_of(fd, "x.log.old") > 0 && size_of(fd, "x.log.1") == 0);
	log_end(&log);
	(void)unlinkat(fd, "x.log", 0);
	(void)unlinkat(fd, "x.log.old", 0);
	assert_int_equal(rmdir(home), 0);
}

/* Nothing can be renamed or removed there: the bound holds, and nobody waits for ever. */
static void test_log_in_a_closed_folder(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX", line[] = "0123456789\n";
	_cleanup_close_ int fd = -EBADF;
	Log log;

	home_make(home, &fd);
	assert_int_equal(log_begin(fd, "x.log", true, 100, &log), 0);
	assert_int_equal(fchmod(log.fd, 0666), 0);
	assert_int_equal(fchmod(fd, 0555), 0);
	/* root may do all */
	assert_true(geteuid() != 0 || seteuid(65534) == 0);
	(void)alarm(30);
	for (size_t i = 0; i < 100; i++)
		log_add(&log, line, sizeof(line) - 1);
	(void)alarm(0);
	assert_true(getuid() != 0 || seteuid(0) == 0);
	assert_true(size_of(fd, "x.log") > 0 && size_of(fd, "x.log") <= 100 && size_of(fd, "x.log.1") == 0);
	log_end(&log);
	assert_int_equal(fchmod(fd, 0755), 0);
	(void)unlinkat(fd, "x.log", 0);
	assert_int_equal(rmdir(home), 0);
}

/* systemd has nothing to read in them, and they come back as they were. */
static void test_words_of_a_unit(void **state)
{
	static const char *const words[] = { "", "plain", "$HOME", "$$", "a$", "a;b;", "\001", "\002", "\003",
		"\002\001$\001\002", "%h ${x}" };

	for (size_t i = 0; i < ELEMENTSOF(words); i++) {
		_cleanup_free_ char *word = job_word_encode(words[i]);

		assert_null(strpbrk(word, "$;"));
		job_word_decode(word);
		assert_string_equal(word, words[i]);
	}
}

static bool is_over(void *userdata)
{
	return true;
}

/* One that ended is not followed for ever because another one of the folder is written to. */
static void test_follow_beside_others(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX";
	_cleanup_tail_ Tail tail = TAIL_NONE(TAIL_BYTES);
	_cleanup_close_ int home_fd = -EBADF, fd = -EBADF, other_fd = -EBADF;
	Reason reason;
	pid_t pid;

	home_make(home, &home_fd);
	fd = folder_open(FOLDER_LOGS, true, &reason);
	other_fd = openat(fd, "other.log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fd_close(openat(fd, "x.log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	pid = fork();
	if (pid == 0)
		for (;;) {
			(void)!pwrite(other_fd, "x", 1, 0);
			(void)poll(NULL, 0, 20);
		}
	assert_true(pid > 0);
	assert_int_equal(tail_begin(FOLDER_LOGS, "x.log", 1, TAIL_BYTES, &tail, &reason), 0);
	(void)alarm(30);
	assert_int_equal(tail_follow(&tail, is_over, NULL, &reason), 0);
	(void)alarm(0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)unlinkat(fd, "x.log", 0);
	(void)unlinkat(fd, "other.log", 0);
	(void)unlinkat(home_fd, FOLDER_LOGS, AT_REMOVEDIR);
	assert_int_equal(rmdir(home), 0);
}

/* A journal that says nothing more is not followed for ever when nobody reads stdout. */
static void test_follow_without_a_reader(void **state)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	int ends[2], own_fd, r;
	Reason reason;

	if (journal_open("creel-there-is-none.service", &journal, &reason) < 0)
		skip(); /* no journal is here */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fd_close(ends[0]);
	assert_int_equal(fflush(stdout), 0);
	own_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
	(void)alarm(30);
	/* the first one looks at once whether there is more */
	for (int i = 0; (r = journal_follow(journal)) > 0 && i < 10; i++)
		continue;
	(void)alarm(0);
	assert_true(dup2(own_fd, STDOUT_FILENO) == STDOUT_FILENO);
	fd_close(own_fd);
	fd_close(ends[1]);
	assert_int_equal(r, -EPIPE);
}

static void pidfile_make(int fd, const char *text)
{
	_cleanup_close_ int file_fd = openat(fd, "x.pid", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(write(file_fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void test_pidfiles(void **state)
{
	static const char *const broken[] = { "", "x", "-1", "0", "99999999999", "1x" };
	const struct timespec long_ago[] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	char home[] = "/tmp/creel-jobs-XXXXXX", own[16];
	_cleanup_close_ int fd = -EBADF;
	pid_t pid;

	home_make(home, &fd);
	assert_int_equal(pidfile_look(fd, "x.pid", &pid), PIDFILE_NONE);
	for (size_t i = 0; i < ELEMENTSOF(broken); i++) {
		pidfile_make(fd, broken[i]);
		assert_int_equal(pidfile_look(fd, "x.pid", &pid), PIDFILE_BROKEN);
		assert_int_equal(pid, 0);
	}
	pidfile_make(fd, "2147483646\n");
	assert_int_equal(pidfile_look(fd, "x.pid", &pid), PIDFILE_DEAD);
	(void)snprintf(own, sizeof(own), "%d\n", (int)getpid());
	pidfile_make(fd, own);
	assert_int_equal(pidfile_look(fd, "x.pid", &pid), PIDFILE_ALIVE);
	assert_int_equal(pid, getpid());
	assert_int_equal(utimensat(fd, "x.pid", long_ago, 0), 0);
	assert_int_equal(pidfile_look(fd, "x.pid", &pid), PIDFILE_REUSED);
	(void)unlinkat(fd, "x.pid", 0);
	assert_int_equal(rmdir(home), 0);
}

static void test_programs(void **state)
{
	_cleanup_free_ char *path = NULL, *self = NULL;
	Reason reason;

	assert_int_equal(setenv("PATH", "/nowhere::/usr/bin:/bin", 1), 0);
	assert_int_equal(program_find("sh", &path, &reason), 0);
	assert_non_null(strstr(path, "/bin/sh"));
	assert_int_equal(program_find("no-such-program", &self, &reason), -ENOENT);
	assert_non_null(strstr(reason.text, "no-such-program: command not found"));
	assert_int_equal(program_find("/etc/passwd", &self, &reason), -EACCES);
	assert_non_null(strstr(reason.text, "chmod +x"));
	assert_int_equal(program_find("/etc", &self, &reason), -EISDIR);
	assert_int_equal(program_find("", &self, &reason), -EINVAL);
	assert_int_equal(program_self(&self, &reason), 0);
	assert_true(self[0] == '/');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_record_of_a_long_command),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_log_in_a_closed_folder),
		cmocka_unit_test(test_words_of_a_unit),
		cmocka_unit_test(test_follow_beside_others),
		cmocka_unit_test(test_follow_without_a_reader),
		cmocka_unit_test(test_pidfiles),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
