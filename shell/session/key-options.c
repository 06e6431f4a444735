/* SPDX-License-Identifier: MIT */
#include "shell/session/key-options.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <string.h>
#include <strings.h>
#include <time.h>

void key_options_done(KeyOptions *options)
{
	free(options->text);
	free(options->command);
	free(options->from);
	strlist_done(&options->permit_open);
	strlist_done(&options->environment);
	*options = (KeyOptions){ 0 };
}

static int refuse(KeyReason *ret_reason, const char *what, const char *option, size_t n)
{
	char quoted[96];

	(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "%s: %s", what,
		str_quote(option, n, quoted, sizeof(quoted)));
	return -EINVAL;
}

/* ---- addresses ---- */

typedef struct Network {
	int family;
	uint8_t bytes[16];
	unsigned int bits; /* that count */
} Network;

/* ADDRESS or ADDRESS/BITS. Returns 0 or -EINVAL. */
static int network_parse(const char *text, Network *ret)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char address[INET6_ADDRSTRLEN];
	Network network = { 0 };
	uint64_t bits;

	if (n >= sizeof(address))
		return -EINVAL;
	(void)snprintf(address, sizeof(address), "%.*s", (int)n, text);
	if (inet_pton(AF_INET, address, network.bytes) == 1) {
		network.family = AF_INET;
		network.bits = 32;
	} else if (inet_pton(AF_INET6, address, network.bytes) == 1) {
		network.family = AF_INET6;
		network.bits = 128;
	} else {
		return -EINVAL;
	}
	if (slash) {
		if (str_to_u64(slash + 1, network.bits, &bits) < 0)
			return -EINVAL;
		network.bits = (unsigned int)bits;
	}
	*ret = network;
	return 0;
}

/* Patterns and networks. What is neither must not be passed over: behind a `!` it would let in whom it was to keep out. */
static bool is_from_list(const char *list)
{
	for (const char *item = list;; item++) {
		size_t n = strcspn(item, ",");
		char text[INET6_ADDRSTRLEN + 8];
		Network network;

		if (*item == '!') {
			item++;
			n--;
		}
		if (!n)
			return false;
		if (memchr(item, '/', n)) {
			if (n >= sizeof(text))
				return false;
			(void)snprintf(text, sizeof(text), "%.*s", (int)n, item);
			if (network_parse(text, &network) < 0)
				return false;
		}
		item += n;
		if (!*item)
			return true;
	}
}

/* ---- flags ---- */

typedef enum FlagTarget {
	FLAG_TERMINAL,
	FLAG_FORWARDING,
	FLAG_TOUCH,
	FLAG_VERIFICATION,
	FLAG_NOTHING,
	FLAG_RESTRICT
} FlagTarget;

static const struct Flag {
	const char *name;
	FlagTarget target;
} flags[] = {
	{ "restrict", FLAG_RESTRICT },
	{ "pty", FLAG_TERMINAL },
	{ "port-forwarding", FLAG_FORWARDING },
	{ "touch-required", FLAG_TOUCH },
	{ "verify-required", FLAG_VERIFICATION },
	/* creel has none of these for anybody: allowing changes nothing, forbidding is true already */
	{ "agent-forwarding", FLAG_NOTHING },
	{ "x11-forwarding", FLAG_NOTHING },
	{ "user-rc", FLAG_NOTHING },
};

static bool apply_flag(KeyOptions *options, const char *name, size_t n)
{
	bool on = true;

	if (n > 3 && strncasecmp(name, "no-", 3) == 0) {
		on = false;
		name += 3;
		n -= 3;
	}
	for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
		if (strlen(flags[i].name) != n || strncasecmp(flags[i].name, name, n) != 0)
			continue;
		switch (flags[i].target) {
		case FLAG_TERMINAL:
			options->terminal = on;
			return true;
		case FLAG_FORWARDING:
			options->forwarding = on;
			return true;
		case FLAG_TOUCH:
			options->touch = false;
			return !on; /* it is required without being asked for */
		case FLAG_VERIFICATION:
			options->verification = true;
			return on; /* and there is no taking it back */
		case FLAG_NOTHING:
			return true;
		case FLAG_RESTRICT:
			options->terminal = options->forwarding = false;
			return on; /* there is no no-restrict */
		}
	}
	return false;
}

/* ---- values ---- */

/* "VALUE" with \" for a quote inside. Returns how long it is in the text, 0 when a quote is missing. */
static size_t read_quoted(const char *text, size_t n, char **ret)
{
	size_t used = 0;
	char *value;

	if (n < 2 || text[0] != '"')
		return 0;
	value = malloc(n + 1);
	if (!value)
		return 0; /* refuses the key, too */
	for (size_t i = 1; i < n; i++) {
		if (text[i] == '\\' && i + 1 < n && text[i + 1] == '"') {
			value[used++] = '"';
			i++;
		} else if (text[i] == '"') {
			value[used] = '\0';
			*ret = value;
			return i + 1;
		} else {
			value[used++] = text[i];
		}
	}
	free(value);
	return 0;
}

/* YYYYMMDD[HHMM[SS]][Z]; local time without the Z (sshd(8)). */
static int read_expiry(const char *value, uint64_t *ret)
{
	static const struct {
		size_t digits;
		const char *format;
	} forms[] = { { 8, "%Y%m%d" }, { 12, "%Y%m%d%H%M" }, { 14, "%Y%m%d%H%M%S" } };
	size_t digits = strspn(value, "0123456789");
	bool utc = strcasecmp(value + digits, "Z") == 0;

	if (!utc && value[digits])
		return -EINVAL;
	for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
		struct tm tm = { .tm_isdst = -1 };
		char text[16];
		const char *end;
		time_t when;

		if (digits != forms[i].digits)
			continue;
		(void)snprintf(text, sizeof(text), "%.*s", (int)digits, value);
		end = strptime(text, forms[i].format, &tm);
		if (!end || *end)
			return -EINVAL;
		when = utc ? timegm(&tm) : mktime(&tm);
		if (when <= 0)
			return -EINVAL;
		*ret = (uint64_t)when;
		return 0;
	}
	return -EINVAL;
}

/* "host:port" or "[host]:port", the port a number or `*`. */
static bool is_open_target(const char *value)
{
	const char *colon = strrchr(value, ':');
	uint64_t port;

	if (!colon || colon == value)
		return false;
	return strcmp(colon + 1, "*") == 0 || (str_to_u64(colon + 1, 65535, &port) == 0 && port > 0);
}

static bool is_assignment(const char *value)
{
	const char *equals = strchr(value, '=');

	return equals && equals != value && !strpbrk(value, "\n\r");
}

/* Takes `value`. */
static int apply_value(KeyOptions *options, const char *name, size_t n, char *value, KeyReason *ret_reason)
{
	_cleanup_free_ char *owned = value;
#define IS(literal) (n == strlen(literal) && strncasecmp(name, literal, n) == 0)

	if (IS("command") || IS("from")) {
		char **slot = IS("command") ? &options->command : &options->from;

		if (*slot)
			return refuse(ret_reason, "key option given twice", name, n);
		if (IS("from") && !is_from_list(value))
			return refuse(ret_reason, "key option from: not a list of patterns and networks", value,
				strlen(value));
		*slot = TAKE_PTR(owned);
		return 0;
	}
	if (IS("expiry-time")) {
		uint64_t expiry;

		if (read_expiry(value, &expiry) < 0)
			return refuse(
				ret_reason, "key option expiry-time: not YYYYMMDD[HHMM[SS]][Z]", value, strlen(value));
		/* the earliest of several holds, as in sshd */
		if (!options->expiry_sec || expiry < options->expiry_sec)
			options->expiry_sec = expiry;
		return 0;
	}
	if (IS("permitopen")) {
		if (!is_open_target(value))
			return refuse(ret_reason, "key option permitopen: not host:port", value, strlen(value));
		return strlist_push(&options->permit_open, TAKE_PTR(owned));
	}
	if (IS("permitlisten"))
		return 0; /* restricts remote forwarding, of which there is none */
	if (IS("environment")) {
		if (!is_assignment(value))
			return refuse(ret_reason, "key option environment: not NAME=value", value, strlen(value));
		return strlist_push(&options->environment, TAKE_PTR(owned));
	}
	return refuse(ret_reason, "key option is not supported", name, n);
#undef IS
}

static int parse_into(const char *text, size_t n, KeyOptions *options, KeyReason *ret_reason)
{
	size_t at = 0;

	while (at < n) {
		size_t name_n = 0;

		while (at + name_n < n && text[at + name_n] != ',' && text[at + name_n] != '=')
			name_n++;
		if (at + name_n < n && text[at + name_n] == '=') {
			size_t value_at = at + name_n + 1, value_n;
			char *value;
			int r;

			value_n = read_quoted(text + value_at, n - value_at, &value);
			if (!value_n)
				return refuse(ret_reason, "key option without a quoted value", text + at, name_n);
			r = apply_value(options, text + at, name_n, value, ret_reason);
			if (r < 0)
				return r;
			at = value_at + value_n;
		} else {
			if (!apply_flag(options, text + at, name_n))
				return refuse(ret_reason, "key option is not supported", text + at, name_n);
			at += name_n;
		}
		if (at < n && text[at] != ',')
			return refuse(ret_reason, "no comma between key options", text + at, n - at);
		at++;
		/* a comma promises one more */
		if (at == n)
			return refuse(ret_reason, "key options end with a comma", text, n);
	}
	return 0;
}

int key_options_parse(const char *text, size_t n, KeyOptions *ret, KeyReason *ret_reason)
{
	KeyOptions options = KEY_OPTIONS_NONE;
	int r;

	ret_reason->text[0] = '\0';
	if (memchr(text, '\0', n))
		return refuse(ret_reason, "key options hold a NUL", text, n);
	if (n > KEY_OPTIONS_TEXT_MAX)
		return refuse(ret_reason, "key options are too long", text, n);
	r = parse_into(text, n, &options, ret_reason);
	if (!r) {
		options.text = strndup(text, n);
		if (!options.text)
			r = -ENOMEM;
	}
	if (r < 0) {
		key_options_done(&options);
		return r;
	}
	*ret = options;
	return 0;
}

/* ---- who, and until when ---- */

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool from_matches(const char *list, const char *address)
{
	_cleanup_free_ char *copy = strdup(list);
	char *item, *rest = copy;
	bool found = false;
	Network peer;

	if (network_parse(address, &peer) < 0)
		return false;
	while (copy && (item = strsep(&rest, ","))) {
		bool negated = *item == '!', match;
		Network network;

		if (negated)
			item++;
		/* addresses are compared as such, not as text: 2001:db8:0::1 is 2001:db8::1 */
		if (network_parse(item, &network) == 0)
			match = network.family == peer.family && bits_equal(network.bytes, peer.bytes, network.bits);
		else
			match = fnmatch(item, address, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
		if (match && negated)
			return false;
		found = found || match;
	}
	return found;
}

bool key_options_admit(const KeyOptions *options, const char *address, uint64_t now_sec, KeyReason *ret_reason)
{
	char quoted[64];

	if (options->expiry_sec && now_sec >= options->expiry_sec) {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "the key has expired (expiry-time)");
		return false;
	}
	if (options->from && !from_matches(options->from, address)) {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "the key may not be used from %s (from=)",
			str_quote(address, strlen(address), quoted, sizeof(quoted)));
		return false;
	}
	return true;
}

bool key_options_admit_presence(const KeyOptions *options, uint32_t presence, KeyReason *ret_reason)
{
	const char *missing = NULL;

	if (options->touch && !(presence & KEY_PRESENCE_TOUCHED))
		missing = "nobody touched the security key (no-touch-required would allow it)";
	else if (options->verification && !(presence & KEY_PRESENCE_VERIFIED))
		missing = "the security key did not verify its user (verify-required)";
	if (missing)
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "%s", missing);
	return !missing;
}
