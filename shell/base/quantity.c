/* SPDX-License-Identifier: MIT */
/*
 * Units are strict on purpose: `256` bytes of memory, or `30` hours meant as seconds, are mistakes that a machine can see.
 */
#include "shell/base/quantity.h"
#include "shell/base/str.h"

#include <string.h>

typedef struct Unit {
	const char *name;
	uint64_t factor;
} Unit;

static const Unit size_units[] = {
	{ "T", UINT64_C(1) << 40 },
	{ "G", UINT64_C(1) << 30 },
	{ "M", UINT64_C(1) << 20 },
	{ "K", UINT64_C(1) << 10 },
	{ "", 1 },
	{ NULL, 0 },
};

static const Unit time_units[] = {
	{ "d", UINT64_C(86400000000) },
	{ "h", UINT64_C(3600000000) },
	{ "m", 60000000 },
	{ "s", 1000000 },
	{ "ms", 1000 },
	{ NULL, 0 },
};

static const Unit plain_units[] = { { "", 1 }, { NULL, 0 } };

static const Unit *units_of(QuantityKind kind)
{
	return kind == QUANTITY_SIZE ? size_units : kind == QUANTITY_TIME ? time_units : plain_units;
}

const char *quantity_notation(QuantityKind kind)
{
	switch (kind) {
	case QUANTITY_SIZE:
		return "a size in bytes: digits, then K, M, G or T, as in 256M";
	case QUANTITY_TIME:
		return "a time: digits, then ms, s, m, h or d, as in 30s";
	case QUANTITY_CORES:
		return "a number of cores, as in 0.5 or 2";
	default:
		return "a number of decimal digits";
	}
}

const char *quantity_text(QuantityKind kind, uint64_t value, char *buffer, size_t size)
{
	const Unit *unit = units_of(kind);

	if (value == QUANTITY_UNLIMITED) {
		(void)snprintf(buffer, size, "max");
		return buffer;
	}
	if (kind == QUANTITY_CORES) {
		int n = snprintf(buffer, size, "%llu.%06llu", (unsigned long long)(value / 1000000),
			(unsigned long long)(value % 1000000));

		while (n > 0 && buffer[n - 1] == '0')
			buffer[--n] = '\0';
		if (n > 0 && buffer[n - 1] == '.')
			buffer[--n] = '\0';
		return buffer;
	}
	if (value == 0) {
		(void)snprintf(buffer, size, kind == QUANTITY_TIME ? "0s" : "0");
		return buffer;
	}
	while (unit[1].name && value % unit->factor)
		unit++;
	(void)snprintf(buffer, size, "%llu%s", (unsigned long long)(value / unit->factor), unit->name);
	return buffer;
}

/* Cores as a decimal fraction of at most six places: what the kernel's microseconds can say. */
static int cores_parse(const char *text, uint64_t *ret)
{
	size_t whole = strspn(text, "0123456789");
	uint64_t value = 0, unit = 1000000;

	if (!whole || whole > 6)
		return -EINVAL;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (uint64_t)(text[i] - '0') * 1000000;
	text += whole;
	if (*text == '.') {
		size_t places = strspn(++text, "0123456789");

		if (!places || places > 6)
			return -EINVAL;
		for (; places; places--) {
			unit /= 10;
			value += (uint64_t)(*text++ - '0') * unit;
		}
	}
	if (*text)
		return -EINVAL;
	*ret = value;
	return 0;
}

int quantity_parse(QuantityKind kind, const char *text, uint64_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	char head[24];
	uint64_t value;

	if (kind == QUANTITY_CORES)
		return cores_parse(text, ret);
	if (!digits || digits >= sizeof(head))
		return -EINVAL;
	memcpy(head, text, digits);
	head[digits] = '\0';
	if (str_to_u64(head, UINT64_MAX - 1, &value) < 0)
		return -EINVAL;

	for (const Unit *unit = units_of(kind); unit->name; unit++)
		if (strcmp(unit->name, text + digits) == 0) {
			if (__builtin_mul_overflow(value, unit->factor, &value) || value == QUANTITY_UNLIMITED)
				return -ERANGE;
			*ret = value;
			return 0;
		}
	return -EINVAL;
}
