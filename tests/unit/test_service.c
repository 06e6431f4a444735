/* SPDX-License-Identifier: MIT */
/* Services: their unit files, what is read from the kernel about routes and listeners, and answers of HTTP. */
#include "tests/unit/unit.h"

#include "shell/jobs/address.h"
#include "shell/jobs/listeners.h"
#include "shell/jobs/probe.h"
#include "shell/jobs/service-spec.h"
#include "shell/jobs/unit-text.h"
#include "shell/jobs/unit-words.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- words ---- */

static void test_words(void **state)
{
	static const struct {
		const char *word, *written;
	} rows[] = {
		{ "server.js", "server.js" },
		{ "--port=3000", "--port=3000" },
		{ "a b", "\"a b\"" },
		{ "", "\"\"" },
		{ "it's", "\"it's\"" },
		{ "say \"hi\"", "\"say \\\"hi\\\"\"" },
		{ "\\", "\"\\\\\"" },
		{ ";", "\";\"" },
		{ "two\nlines", "\"two\\nlines\"" },
		{ "\x01", "\"\\x01\"" },
		{ "#", "\"#\"" },
		{ "h\xc3\xa9", "\"h\xc3\xa9\"" },
		{ "*", "\"*\"" },
		{ "a\tb", "\"a\\tb\"" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		char *word = (char *)rows[i].word;
		_cleanup_free_ char *written = unit_words_join(&word, 1);
		_cleanup_strlist_ StrList back = { 0 };

		assert_non_null(written);
		assert_string_equal(written, rows[i].written);
		assert_int_equal(unit_words_split(written, &back), 0);
		assert_int_equal(back.n, 1);
		assert_string_equal(back.items[0], rows[i].word);
	}
}

static void test_words_that_are_none(void **state)
{
	static const char *const bad[] = { "\"open", "'open", "a\\q", "a\\", "\\x0", "\\x00" };

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		_cleanup_strlist_ StrList words = { 0 };

		assert_int_equal(unit_words_split(bad[i], &words), -EINVAL);
	}
}

static void test_escapes(void **state)
{
	_cleanup_free_ char *command = unit_escape("100% of $HOME ${x}", true), *value = unit_escape("100% $x", false);
	char specifier[] = "%h/x", variable[] = "$x", both[] = "%% $$ %", fine[] = "$x";

	assert_string_equal(command, "100%% of $$HOME $${x}");
	assert_string_equal(value, "100%% $x");
	assert_int_equal(unit_unescape(command, true), 0);
	assert_string_equal(command, "100% of $HOME ${x}");
	assert_int_equal(unit_unescape(specifier, true), -EINVAL);
	assert_string_equal(specifier, "%h/x");
	assert_int_equal(unit_unescape(variable, true), -EINVAL);
	assert_int_equal(unit_unescape(both, true), -EINVAL);
	assert_string_equal(both, "%% $$ %");
	assert_int_equal(unit_unescape(fine, false), 0);
}

/* ---- the text ---- */

static const char hand[] =
	"; by hand\n[Unit]\nDescription = Mine  \n\n[Service]\nExecStart=/bin/a \\\n  # between\n  b\nMemoryMax=10M\n"
	"Environment=A=1 \"B=2 3\"\nEnvironment=PORT=3000\n\n[Install]\nWantedBy=default.target";

static void test_text(void **state)
{
	_cleanup_(unit_text_freep) UnitText *text = NULL;
	_cleanup_free_ char *set = NULL, *added = NULL, *section = NULL;

	assert_int_equal(unit_text_parse(hand, &text), 0);
	assert_string_equal(unit_text_value(text, "Unit", "Description"), "Mine");
	assert_string_equal(unit_text_value(text, "Service", "ExecStart"), "/bin/a    b");
	assert_null(unit_text_value(text, "Unit", "ExecStart"));
	set = unit_text_set(hand, "Service", "ExecStart", "/bin/c");
	assert_non_null(strstr(set, "[Service]\nExecStart=/bin/c\nMemoryMax=10M\n"));
	added = unit_text_set(hand, "Service", "Restart", "no");
	assert_non_null(strstr(added, "PORT=3000\nRestart=no\n\n[Install]"));
	section = unit_text_set("x=1", "Service", "Restart", "no");
	assert_string_equal(section, "x=1\n\n[Service]\nRestart=no\n");
	free(section);
	section = unit_text_set("[Install]\nWantedBy=a", "Install", "Alias", "b");
	assert_string_equal(section, "[Install]\nWantedBy=a\nAlias=b\n");
}

static void test_text_of_anything(void **state)
{
	static const char *const texts[] = { "", "\n\n", "\\", "a\\\n", "=", "[", "[]", "[x", "=\n[x]\n=\\\n=\n" };

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_(unit_text_freep) UnitText *text = NULL;

		assert_int_equal(unit_text_parse(texts[i], &text), 0);
	}
}

/* ---- what a service is ---- */

static const char document[] =
	"# made by creel service create --health /health\n[Unit]\nDescription=my-api\nAfter=network.target\n\n"
	"[Service]\nType=simple\nWorkingDirectory=/home/agent/project\n"
	"ExecStart=/usr/bin/node /home/agent/project/server.js\nRestart=on-failure\nRestartSec=5\n"
	"Environment=PORT=3000\nStandardOutput=journal\nStandardError=journal\n\n"
	"[Install]\nWantedBy=default.target\n";

static void spec_fill(ServiceSpec *spec, const char *const *command)
{
	for (; *command; command++)
		assert_int_equal(strlist_add(&spec->command, *command), 0);
	spec->restart = "on-failure";
}

static void test_spec_is_the_documents(void **state)
{
	static const char *const command[] = { "/usr/bin/node", "/home/agent/project/server.js", NULL };
	_cleanup_spec_ ServiceSpec spec = { .port = 3000, .health = HEALTH_HTTP };
	_cleanup_free_ char *text = NULL;
	char why[256];

	spec_fill(&spec, command);
	assert_int_equal(str_set(&spec.directory, "/home/agent/project"), 0);
	assert_int_equal(str_set(&spec.health_text, "/health"), 0);
	assert_int_equal(service_spec_check(&spec, why, sizeof(why)), 0);
	text = service_spec_text(&spec, "my-api");
	assert_string_equal(text, document);
}

static void test_spec_comes_back(void **state)
{
	static const char *const command[] = { "/opt/a b/x%y", "it's", "", "100%", "$HOME", "${X}", ";", "a\nb\\", "\"",
		"-x", "h\xc3\xa9", NULL };
	static const char *const odd[] = { "/opt/$x", "$HOME", "$$", "%", NULL };
	static const char *const *const commands[] = { command, odd };

	for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
		_cleanup_spec_ ServiceSpec spec = { .health = HEALTH_LOG }, back = { 0 };
		_cleanup_free_ char *text = NULL;
		bool own, edited;

		spec_fill(&spec, commands[i]);
		assert_int_equal(str_set(&spec.directory, "/home/agent/my 100% dir"), 0);
		assert_int_equal(str_set(&spec.health_text, "listening on \"[0-9]+\"\\."), 0);
		assert_int_equal(strlist_add(&spec.environment, "A=b c 5% $x \"q\"\n\\"), 0);
		assert_int_equal(strlist_add(&spec.environment, "PORT=none"), 0);
		text = service_spec_text(&spec, "x");
		assert_int_equal(service_spec_read(text, "x", &back, &own, &edited), 0);
		assert_true(own);
		assert_false(edited);
		assert_int_equal(back.command.n, spec.command.n);
		for (size_t j = 0; j < spec.command.n; j++)
			assert_string_equal(back.command.items[j], spec.command.items[j]);
		assert_string_equal(back.directory, spec.directory);
		assert_string_equal(back.health_text, spec.health_text);
		assert_int_equal(back.environment.n, 2);
		assert_string_equal(back.environment.items[0], spec.environment.items[0]);
	}
}

static void test_spec_by_hand(void **state)
{
	static const char *const edits[] = { "MemoryMax=100M\n[Install]", "# mine\n[Install]",
		"Environment=B=%h\n[Install]" };
	_cleanup_spec_ ServiceSpec spec = { 0 };
	bool own, edited;

	assert_int_equal(service_spec_read(hand, "x", &spec, &own, &edited), 0);
	assert_false(own);
	assert_true(edited);
	assert_int_equal(spec.port, 3000);
	assert_int_equal(spec.health, HEALTH_TCP);
	assert_int_equal(spec.environment.n, 2);
	assert_string_equal(spec.environment.items[1], "B=2 3");
	for (size_t i = 0; i < ELEMENTSOF(edits); i++) {
		_cleanup_spec_ ServiceSpec one = { 0 };
		const char *place = strstr(document, "[Install]");
		_cleanup_free_ char *text =
			str_format("%.*s%s%s", (int)(place - document), document, edits[i], place + 9);

		assert_int_equal(service_spec_read(text, "my-api", &one, &own, &edited), 0);
		assert_true(own);
		assert_true(edited);
	}
}

static void test_change_only_what_is_asked(void **state)
{
	_cleanup_spec_ ServiceSpec spec = { .port = 4000, .restart = "always" };
	ServiceChange change = { .port = true, .restart = true, .mark = true };
	_cleanup_free_ char *text = NULL;

	assert_int_equal(strlist_add(&spec.environment, "B=x y%"), 0);
	assert_int_equal(strlist_add(&spec.environment, "C=1"), 0);
	text = service_spec_change(hand, &spec, &change);
	assert_string_equal(text, "# made by creel service create\n; by hand\n[Unit]\nDescription = Mine  "
				  "\n\n[Service]\nExecStart=/bin/a \\\n  # between\n"
				  "  b\nMemoryMax=10M\nEnvironment=A=1 \"B=x "
				  "y%%\"\nEnvironment=PORT=4000\nRestart=always\nEnvironment=C=1\n\n"
				  "[Install]\nWantedBy=default.target");
}

static void test_merge_stays_ours(void **state)
{
	_cleanup_spec_ ServiceSpec spec = { 0 }, more = { .port = 4000, .health = HEALTH_TCP }, back = { 0 };
	ServiceChange change = { .port = true, .health = true };
	_cleanup_free_ char *text = NULL;
	bool own, edited;

	assert_int_equal(service_spec_read(document, "my-api", &spec, &own, &edited), 0);
	assert_int_equal(strlist_add(&spec.environment, "A=1"), 0);
	assert_int_equal(strlist_add(&more.environment, "A=2"), 0);
	assert_int_equal(strlist_add(&more.environment, "AB=3"), 0);
	assert_int_equal(service_spec_merge(&spec, &more, &change), 0);
	text = service_spec_text(&spec, "my-api");
	assert_int_equal(service_spec_read(text, "my-api", &back, &own, &edited), 0);
	assert_true(own && !edited);
	assert_int_equal(back.port, 4000);
	assert_int_equal(back.health, HEALTH_TCP);
	assert_int_equal(back.environment.n, 2);
	assert_string_equal(back.environment.items[0], "A=2");
	assert_string_equal(back.environment.items[1], "AB=3");
	assert_string_equal(back.directory, "/home/agent/project");
}

static void test_spec_refused(void **state)
{
	static const struct {
		const char *command, *directory, *variable;
	} rows[] = {
		{ "/bin/\xff", NULL, NULL },
		{ "/bin/a\nb", NULL, NULL },
		{ "/bin/a", "/x\n", NULL },
		{ "/bin/a", "/x ", NULL },
		{ "/bin/a", "/x\\", NULL },
		{ "/bin/a", NULL, "1A=x" },
		{ "/bin/a", NULL, "A" },
		{ "/bin/a", NULL, "=x" },
		{ "/bin/a", NULL, "A=\x01" },
		{ "/bin/a", NULL, "A=\xff" },
		{ "/bin/a", NULL, "A B=1" },
	};
	char why[256];

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_spec_ ServiceSpec spec = { .restart = "no" };

		assert_int_equal(strlist_add(&spec.command, rows[i].command), 0);
		if (rows[i].directory)
			assert_int_equal(str_set(&spec.directory, rows[i].directory), 0);
		if (rows[i].variable)
			assert_int_equal(strlist_add(&spec.environment, rows[i].variable), 0);
		assert_int_equal(service_spec_check(&spec, why, sizeof(why)), -EINVAL);
	}
	assert_null(service_restart("on-abort"));
	assert_string_equal(service_restart("always"), "always");
}

/* ---- answers, routes, listeners ---- */

static void test_status(void **state)
{
	static const struct {
		const char *answer;
		int status;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\n", 200 },
		{ "HTTP/1.0 503 ", 503 },
		{ "HTTP/1.1 404\r\n", 404 },
		{ "HTTP/1.1 20", 0 },
		{ "HTT", 0 },
		{ "", 0 },
		{ "HTTP/1.1 200", 0 },
		{ "HTTP/1.1 2000", -EBADMSG },
		{ "HTTP/1.1 999 ", -EBADMSG },
		{ "SSH-2.0", -EBADMSG },
		{ "HTTP/2 200 OK", -EBADMSG },
		{ "HTTP/1.1 abc ", -EBADMSG },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		assert_int_equal(probe_status(rows[i].answer, strlen(rows[i].answer)), rows[i].status);
	assert_true(probe_path_valid("/health?x=1"));
	assert_false(probe_path_valid("health"));
	assert_false(probe_path_valid(""));
	assert_false(probe_path_valid("/a b"));
	assert_false(probe_path_valid("/a\r\nHost: x"));
}

static void test_routes(void **state)
{
	static const char four[] =
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		"eth1\t00000000\t0202000A\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
		"eth0\t00000000\t0202000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
		"eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
	static const char six[] = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
				  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				  "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
				  "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
				  "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
	char name[16] = "", url[ADDRESS_URL];

	assert_true(address_route4(four, name, sizeof(name)));
	assert_string_equal(name, "eth0");
	assert_false(address_route4("", name, sizeof(name)));
	assert_false(address_route4("Iface\tDestination\n", name, sizeof(name)));
	(void)snprintf(name, sizeof(name), "-");
	assert_true(address_route6(six, name, sizeof(name)));
	assert_string_equal(name, "eth0");
	assert_false(address_route6("", name, sizeof(name)));
	assert_string_equal(address_url("10.0.2.15", 3000, url, sizeof(url)), "http://10.0.2.15:3000");
	assert_string_equal(address_url("2001:db8::1", 3000, url, sizeof(url)), "http://[2001:db8::1]:3000");
}

/* An IPv6 socket that listens; `only6` as the option. Returns its port. */
static uint16_t listen6(const char *host, int only6, int *ret_fd)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6 };
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(inet_pton(AF_INET6, host, &address.sin6_addr), 1);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only6, sizeof(only6)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	*ret_fd = fd;
	return ntohs(address.sin6_port);
}

static void test_listeners(void **state)
{
	static const struct {
		const char *host;
		int only6;
		bool loopback, wildcard;
	} rows[] = { { "::", 1, false, true }, { "::", 0, false, true }, { "::1", 1, true, false },
		{ "::ffff:127.0.0.1", 0, true, false } };

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_close_ int fd = -EBADF;
		_cleanup_free_ Listener *all = NULL;
		uint16_t port = listen6(rows[i].host, rows[i].only6, &fd);
		const Listener *found = NULL;
		size_t n = 0;

		assert_int_equal(listeners_read(&all, &n), 0);
		for (size_t j = 0; j < n; j++)
			if (all[j].port == port && all[j].family == AF_INET6)
				found = &all[j];
		assert_non_null(found);
		assert_int_equal(found->uid, getuid());
		assert_int_equal(found->only6, rows[i].only6);
		assert_int_equal(listener_is_loopback(found), rows[i].loopback);
		assert_int_equal(listener_is_wildcard(found), rows[i].wildcard);
		assert_int_equal(probe_ask(found, NULL, 5000).answer, PROBE_OK);
		assert_int_equal(probe_ask(found, "/", 50).answer, PROBE_SILENT);
		fd = fd_close(fd);
		assert_int_equal(probe_ask(found, NULL, 5000).answer, PROBE_CLOSED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_words_that_are_none),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_of_anything),
		cmocka_unit_test(test_spec_is_the_documents),
		cmocka_unit_test(test_spec_comes_back),
		cmocka_unit_test(test_spec_by_hand),
		cmocka_unit_test(test_change_only_what_is_asked),
		cmocka_unit_test(test_merge_stays_ours),
		cmocka_unit_test(test_spec_refused),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_listeners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
