/* SPDX-License-Identifier: MIT */
/* Every refusal says what would have been accepted. */
#include "shell/policy/value.h"
#include "shell/base/quantity.h"
#include "shell/policy/element.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#define LIST_MAX 4096U /* elements of one list, ranges of one port list */

static int refuse(char *reason, size_t size, const char *format, ...) _printf_(3, 4);

static int refuse(char *reason, size_t size, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(reason, size, format, ap);
	va_end(ap);
	return -EINVAL;
}

static void *field(const PolicyKey *key, Policy *policy)
{
	return (char *)policy + key->offset;
}

static const void *field_const(const PolicyKey *key, const Policy *policy)
{
	return (const char *)policy + key->offset;
}

/* ---- numbers with units ---- */

static QuantityKind kind_of(KeyType type)
{
	switch (type) {
	case TYPE_SIZE:
		return QUANTITY_SIZE;
	case TYPE_TIME:
		return QUANTITY_TIME;
	case TYPE_CORES:
		return QUANTITY_CORES;
	default:
		return QUANTITY_COUNT;
	}
}

static int number_parse(const PolicyKey *key, const char *text, uint64_t *ret, char *reason, size_t size)
{
	const char *or_max = key->unlimited ? ", or max for no limit" : "";
	char shown[64], low[32], high[32];
	uint64_t value = 0;
	int r;

	if (strcmp(text, "max") == 0 && key->unlimited) {
		*ret = POLICY_UNLIMITED;
		return 0;
	}
	r = quantity_parse(kind_of(key->type), text, &value);
	if (r == -EINVAL)
		return refuse(reason, size, "`%s` is not %s%s", str_quote(text, strlen(text), shown, sizeof(shown)),
			key->type == TYPE_PORT ? "a port number" : quantity_notation(kind_of(key->type)), or_max);
	if (r < 0 || value < key->min || value > key->max) {
		return refuse(reason, size, "`%s` is out of range: %s to %s%s",
			str_quote(text, strlen(text), shown, sizeof(shown)),
			quantity_text(kind_of(key->type), key->min, low, sizeof(low)),
			quantity_text(kind_of(key->type), key->max, high, sizeof(high)), or_max);
	}
	*ret = value;
	return 0;
}

/* ---- words ---- */

static int word_parse(const PolicyKey *key, const char *text, unsigned *ret, char *reason, size_t size)
{
	char shown[64], all[128] = "";
	size_t used = 0;

	for (unsigned i = 0; key->words[i]; i++) {
		if (strcmp(key->words[i], text) == 0) {
			*ret = i;
			return 0;
		}
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
			!i                  ? ""
			: key->words[i + 1] ? ", "
					    : " or ",
			key->words[i]);
	}
	return refuse(reason, size, "`%s` is not %s", str_quote(text, strlen(text), shown, sizeof(shown)), all);
}

/* ---- paths and names ---- */

static int path_check(const PolicyKey *key, const char *text, char *reason, size_t size)
{
	char shown[64];

	(void)str_quote(text, strlen(text), shown, sizeof(shown));
	if (key->type == TYPE_NAME)
		return policy_name_valid(text) ? 0 : refuse(reason, size, "`%s` is not the name of a profile", shown);
	if (key->type == TYPE_PATH && *text != '/')
		return refuse(reason, size, "`%s` is not an absolute path", shown);
	if (!*text || (text[0] == '/' && !text[1]) || !element_path_plain(text))
		return refuse(reason, size, "`%s` is not a plain path: no empty, `.` or `..` parts", shown);
	return 0;
}

/* ---- lists ---- */

/* The next comma-separated element of `*rest`, trimmed, in `*rest`'s own memory. NULL at the end. */
static char *next_element(char **rest)
{
	char *start = *rest, *comma, *end;

	if (!start)
		return NULL;
	comma = strchr(start, ',');
	*rest = comma ? comma + 1 : NULL;
	end = comma ? comma : start + strlen(start);
	*end = '\0';
	while (isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return start;
}

static int list_parse(const PolicyKey *key, const char *text, StrList *ret, char *reason, size_t size)
{
	_cleanup_strlist_ StrList list = { 0 };
	_cleanup_free_ char *copy = strdup(text);
	char shown[96];
	char *rest = copy, *element;

	if (!copy)
		return -ENOMEM;
	if (!*copy)
		rest = NULL;
	while ((element = next_element(&rest))) {
		const char *why;

		(void)str_quote(element, strlen(element), shown, sizeof(shown));
		if (!*element)
			return refuse(reason, size, "an element is empty: a comma too many");
		why = element_refusal(key->element, element);
		if (why)
			return refuse(reason, size, "`%s` %s", shown, why);
		if (strlist_contains(&list, element))
			return refuse(reason, size, "`%s` is in the list twice", shown);
		if (list.n >= LIST_MAX)
			return refuse(reason, size, "more than %u elements", LIST_MAX);
		if (strlist_add(&list, element) < 0)
			return -ENOMEM;
	}
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

/* ---- ports ---- */

static int range_compare(const void *a, const void *b)
{
	return (int)((const PortRange *)a)->first - (int)((const PortRange *)b)->first;
}

static int port_scan(const PolicyKey *key, const char *text, uint16_t *ret, char *reason, size_t size)
{
	char shown[64];
	uint64_t value;

	if (str_to_u64(text, 65535, &value) < 0 || value == 0)
		return refuse(reason, size, "`%s` is not a port: 1 to 65535, or a range as in 3000-9000",
			str_quote(text, strlen(text), shown, sizeof(shown)));
	if (value < key->min)
		return refuse(reason, size, "port %llu is below %llu: agents have no right to bind it",
			(unsigned long long)value, (unsigned long long)key->min);
	*ret = (uint16_t)value;
	return 0;
}

/* Sorted, and without overlaps. */
static int ports_parse(const PolicyKey *key, const char *text, PortList *ret, char *reason, size_t size)
{
	_cleanup_free_ char *copy = strdup(text);
	_cleanup_free_ PortRange *ranges = NULL;
	char *rest = copy, *element;
	size_t n = 0, kept = 0;
	bool own = false;
	int r;

	if (!copy)
		return -ENOMEM;
	if (!*copy)
		return refuse(reason, size, "no port is named; `none` means that there are none");
	if (strcmp(copy, "none") == 0)
		rest = NULL;
	while ((element = next_element(&rest))) {
		char *dash = strchr(element, '-');
		PortRange range = { 0 }, *bigger;

		if (key->own && strcmp(element, "own") == 0) {
			own = true;
			continue;
		}
		if (dash)
			*dash = '\0';
		r = port_scan(key, element, &range.first, reason, size);
		if (r < 0)
			return r;
		range.last = range.first;
		if (dash) {
			r = port_scan(key, dash + 1, &range.last, reason, size);
			if (r < 0)
				return r;
		}
		if (range.last < range.first)
			return refuse(reason, size, "the range %u-%u ends before it starts", range.first, range.last);
		if (n >= LIST_MAX)
			return refuse(reason, size, "more than %u ranges", LIST_MAX);
		bigger = reallocarray(ranges, n + 1, sizeof(*ranges));
		if (!bigger)
			return -ENOMEM;
		ranges = bigger;
		ranges[n++] = range;
	}
	if (n)
		qsort(ranges, n, sizeof(*ranges), range_compare);
	for (size_t i = 0; i < n; i++) {
		if (kept && ranges[i].first <= (unsigned)ranges[kept - 1].last + 1) {
			if (ranges[i].last > ranges[kept - 1].last)
				ranges[kept - 1].last = ranges[i].last;
		} else {
			ranges[kept++] = ranges[i];
		}
	}
	if (kept > POLICY_PORT_RANGES_MAX)
		return refuse(reason, size, "more than %u ranges that do not touch", POLICY_PORT_RANGES_MAX);
	ret->ranges = TAKE_PTR(ranges);
	ret->n = kept;
	ret->own = own;
	return 0;
}

/* ---- all types ---- */

void value_done(const PolicyKey *key, Policy *policy)
{
	switch (key->type) {
	case TYPE_PATH:
	case TYPE_PLACE:
	case TYPE_NAME:
		free(*(char **)field(key, policy));
		*(char **)field(key, policy) = NULL;
		break;
	case TYPE_LIST:
		strlist_done(field(key, policy));
		break;
	case TYPE_PORTS: {
		PortList *ports = field(key, policy);

		free(ports->ranges);
		*ports = (PortList){ 0 };
		break;
	}
	default:
		break;
	}
}

int value_parse(const PolicyKey *key, const char *text, Policy *policy, char *reason, size_t size)
{
	StrList list = { 0 };
	PortList ports = { 0 };
	uint64_t number = 0;
	unsigned word = 0;
	int r;

	switch (key->type) {
	case TYPE_PATH:
	case TYPE_PLACE:
	case TYPE_NAME:
		r = path_check(key, text, reason, size);
		if (r < 0)
			return r;
		return str_set(field(key, policy), text);
	case TYPE_SIZE:
	case TYPE_COUNT:
	case TYPE_CORES:
	case TYPE_TIME:
	case TYPE_PORT:
		r = number_parse(key, text, &number, reason, size);
		if (r < 0)
			return r;
		if (key->type == TYPE_PORT)
			*(uint16_t *)field(key, policy) = (uint16_t)number;
		else
			*(uint64_t *)field(key, policy) = number;
		return 0;
	case TYPE_PORTS:
		r = ports_parse(key, text, &ports, reason, size);
		if (r < 0)
			return r;
		value_done(key, policy);
		*(PortList *)field(key, policy) = ports;
		return 0;
	case TYPE_LIST:
		r = list_parse(key, text, &list, reason, size);
		if (r < 0)
			return r;
		value_done(key, policy);
		*(StrList *)field(key, policy) = list;
		return 0;
	case TYPE_WORD:
	case TYPE_FLAG:
		r = word_parse(key, text, &word, reason, size);
		if (r < 0)
			return r;
		if (key->type == TYPE_FLAG)
			*(bool *)field(key, policy) = word;
		else
			*(unsigned *)field(key, policy) = word + (unsigned)key->min;
		return 0;
	}
	return refuse(reason, size, "is of an unknown type");
}

static char *list_text(const StrList *list)
{
	_cleanup_free_ char *text = NULL;
	size_t room = 1, used = 0;

	for (size_t i = 0; i < list->n; i++)
		room += strlen(list->items[i]) + 2;
	text = calloc(1, room);
	if (!text)
		return NULL;
	for (size_t i = 0; i < list->n; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%s", i ? ", " : "", list->items[i]);
	return TAKE_PTR(text);
}

static char *ports_text(const PortList *ports)
{
	_cleanup_free_ char *text = NULL;
	size_t room = ports->n * 12 + sizeof(",own"), used = 0;

	if (!ports->n)
		return strdup(ports->own ? "own" : "none");
	text = calloc(1, room);
	if (!text)
		return NULL;
	for (size_t i = 0; i < ports->n; i++) {
		PortRange range = ports->ranges[i];

		used += (size_t)snprintf(text + used, room - used, "%s%u", i ? "," : "", range.first);
		if (range.last != range.first)
			used += (size_t)snprintf(text + used, room - used, "-%u", range.last);
	}
	if (ports->own)
		(void)snprintf(text + used, room - used, ",own");
	return TAKE_PTR(text);
}

char *value_format(const PolicyKey *key, const Policy *policy)
{
	const void *at = field_const(key, policy);
	const char *text;
	char number[48];

	switch (key->type) {
	case TYPE_PATH:
	case TYPE_PLACE:
	case TYPE_NAME:
		text = *(char *const *)at;
		return strdup(text ? text : "");
	case TYPE_LIST:
		return list_text(at);
	case TYPE_PORTS:
		return ports_text(at);
	case TYPE_FLAG:
		return strdup(key->words[*(const bool *)at]);
	case TYPE_WORD:
		return strdup(key->words[*(const unsigned *)at - key->min]);
	case TYPE_PORT:
		return strdup(quantity_text(QUANTITY_COUNT, *(const uint16_t *)at, number, sizeof(number)));
	default:
		return strdup(quantity_text(kind_of(key->type), *(const uint64_t *)at, number, sizeof(number)));
	}
}
