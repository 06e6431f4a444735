/* SPDX-License-Identifier: MIT */
/*
 * A field is a list of numbers, ranges and stars, each range or star with a step: 1,5-9,20-40/5. Days and months of the
 * first three letters are numbers, too, in lists and ranges as well: cron's manual page says no, and its parser yes.
 */
#include "shell/jobs/cron/spec.h"
#include "shell/base/str.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov",
	"dec", NULL };
static const char *const weekday_names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun", NULL };

typedef struct Field {
	const char *name;
	unsigned int low, high;
	const char *const *names;
	const char *allowed;
} Field;

static const Field fields[] = {
	{ "minute", 0, 59, NULL, "0-59" },
	{ "hour", 0, 23, NULL, "0-23" },
	{ "day of month", 1, 31, NULL, "1-31" },
	{ "month", 1, 12, month_names, "1-12 or jan-dec" },
	{ "day of week", 0, 7, weekday_names, "0-7 (0 and 7 are Sunday) or sun-sat" },
};

static const struct {
	const char *word;
	CronSpec spec;
} words[] = {
#define ALL_HOURS ((1U << 24) - 1)
#define ALL_DAYS 0xfffffffeU
#define ALL_MONTHS 0x1ffeU
#define ALL_WEEKDAYS 0x7fU
	{ "reboot", { .reboot = true } },
	{ "yearly", { 1, 1, 2, 2, ALL_WEEKDAYS, .star_weekdays = true } },
	{ "annually", { 1, 1, 2, 2, ALL_WEEKDAYS, .star_weekdays = true } },
	{ "monthly", { 1, 1, 2, ALL_MONTHS, ALL_WEEKDAYS, .star_weekdays = true } },
	{ "weekly", { 1, 1, ALL_DAYS, ALL_MONTHS, 1, .star_days = true } },
	{ "daily", { 1, 1, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, .star_days = true } },
	{ "midnight", { 1, 1, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, .star_days = true } },
	{ "hourly", { 1, ALL_HOURS, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, .star_hours = true, .star_days = true } },
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* What is wrong with a field, with the field as it was written. Returns -EINVAL. */
static int refuse(const Field *field, const char *text, const char *reason, char *why)
{
	char shown[80];

	(void)snprintf(why, CRON_WHY_MAX, "%s `%s`: %s; allowed is %s, as *, 5, 1,5, 1-5, */5 or 1-5/2", field->name,
		str_quote(text, strcspn(text, " \t\n"), shown, sizeof(shown)), reason, field->allowed);
	return -EINVAL;
}

/* A number or a name at `*p`. Returns NULL or what is wrong. */
static const char *read_number(const char **p, const char *const *names, unsigned int *ret)
{
	size_t n = 0;
	char digits[8];
	uint64_t number;

	while (isalnum((unsigned char)(*p)[n]))
		n++;
	if (n == 0)
		return "a number is missing";
	for (unsigned int i = 0; names && names[i]; i++)
		if (strlen(names[i]) == n && strncasecmp(names[i], *p, n) == 0) {
			*ret = i + (names == month_names);
			*p += n;
			return NULL;
		}
	if (n >= sizeof(digits))
		return "that is no number that it could have";
	memcpy(digits, *p, n);
	digits[n] = '\0';
	if (str_to_u64(digits, 9999999, &number) < 0)
		return names ? "that is neither a number nor a name" : "that is no number";
	*p += n;
	*ret = (unsigned int)number;
	return NULL;
}

static const char *read_range(const char **p, const Field *field, uint64_t *bits)
{
	unsigned int low = field->low, high = field->high, step = 1;
	bool single = false;
	const char *wrong;

	if (**p == '*') {
		(*p)++;
	} else {
		wrong = read_number(p, field->names, &low);
		if (wrong)
			return wrong;
		high = low;
		single = **p != '-';
		if (!single) {
			(*p)++;
			wrong = read_number(p, field->names, &high);
			if (wrong)
				return wrong;
		}
	}
	if (low < field->low || low > field->high || high > field->high)
		return "out of range";
	if (low > high)
		return "the range runs backwards";
	if (**p == '/') {
		if (single)
			return "a step needs a range or * before it";
		(*p)++;
		wrong = read_number(p, NULL, &step);
		if (wrong)
			return wrong;
		if (step == 0)
			return "a step is 1 or more";
	}
	for (; low <= high; low += step)
		*bits |= UINT64_C(1) << low;
	return NULL;
}

/* Leaves `*p` at what follows the blanks behind the field. */
static int read_field(const char **p, const Field *field, uint64_t *ret, char *why)
{
	const char *begin = *p, *wrong;
	uint64_t bits = 0;

	if (!*begin || *begin == '\n')
		return refuse(field, begin, "it is missing", why);
	for (;;) {
		wrong = read_range(p, field, &bits);
		if (wrong)
			return refuse(field, begin, wrong, why);
		if (**p != ',')
			break;
		(*p)++;
	}
	if (**p && **p != '\n' && !is_blank(**p))
		return refuse(field, begin, "something stands behind it that does not belong there", why);
	while (is_blank(**p))
		(*p)++;
	*ret = bits;
	return 0;
}

static int read_word(const char *text, CronSpec *ret, size_t *ret_used, char *why)
{
	size_t n = strcspn(text + 1, " \t\n");
	char shown[40];

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strlen(words[i].word) == n && strncmp(text + 1, words[i].word, n) == 0) {
			n++;
			n += strspn(text + n, " \t");
			*ret = words[i].spec;
			*ret_used = n;
			return 0;
		}
	(void)snprintf(why, CRON_WHY_MAX,
		"`%s`: there are @reboot, @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly",
		str_quote(text, n + 1, shown, sizeof(shown)));
	return -EINVAL;
}

int cron_spec_read(const char *text, CronSpec *ret, size_t *ret_used, char *why)
{
	CronSpec spec = { 0 };
	uint64_t bits[ELEMENTSOF(fields)];
	bool star[ELEMENTSOF(fields)];
	const char *p = text;
	int r;

	if (*p == '@')
		return read_word(text, ret, ret_used, why);
	for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
		star[i] = *p == '*';
		r = read_field(&p, &fields[i], &bits[i], why);
		if (r < 0)
			return r;
	}
	spec.minutes = bits[0];
	spec.hours = (uint32_t)bits[1];
	spec.days = (uint32_t)bits[2];
	spec.months = (uint32_t)bits[3];
	spec.weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & ALL_WEEKDAYS);
	spec.star_minutes = star[0];
	spec.star_hours = star[1];
	spec.star_days = star[2];
	spec.star_weekdays = star[4];
	*ret = spec;
	*ret_used = (size_t)(p - text);
	return 0;
}

int cron_spec_parse(const char *text, CronSpec *ret, char *why)
{
	size_t lead = strspn(text, " \t"), used;
	char shown[80];
	CronSpec spec;
	int r;

	r = cron_spec_read(text + lead, &spec, &used, why);
	if (r < 0)
		return r;
	text += lead + used;
	if (*text) {
		(void)snprintf(why, CRON_WHY_MAX,
			"`%s` stands behind the fields; there are five: minute, hour, day of month, month, day of week",
			str_quote(text, strlen(text), shown, sizeof(shown)));
		return -EINVAL;
	}
	*ret = spec;
	return 0;
}

/* Both fields count where one begins with *, and either of them where none does. Source: crontab(5), cron's find_jobs(). */
bool cron_spec_has_day(const CronSpec *spec, int day, int month, int weekday)
{
	bool in_month = spec->days >> day & 1, in_week = spec->weekdays >> weekday & 1;

	return !spec->reboot && spec->months >> month & 1 &&
	       (spec->star_days || spec->star_weekdays ? in_month && in_week : in_month || in_week);
}

bool cron_spec_has_time(const CronSpec *spec, int hour, int minute)
{
	return !spec->reboot && spec->hours >> hour & 1 && spec->minutes >> minute & 1;
}

bool cron_spec_is_wild(const CronSpec *spec)
{
	return spec->star_minutes || spec->star_hours;
}

bool cron_spec_ever(const CronSpec *spec)
{
	static const int lengths[] = { 0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	for (int month = 1; month <= 12; month++)
		for (int day = 1; day <= lengths[month]; day++)
			for (int weekday = 0; weekday < 7; weekday++)
				if (cron_spec_has_day(spec, day, month, weekday))
					return true;
	return false;
}

/* ---- words ---- */

/* `bits` are every `*ret_step`th of 0 to high, from 0 on. */
static bool is_every(uint64_t bits, unsigned int high, unsigned int *ret_step)
{
	for (unsigned int step = 1; step <= high; step++) {
		uint64_t all = 0;

		for (unsigned int i = 0; i <= high; i += step)
			all |= UINT64_C(1) << i;
		if (all == bits) {
			*ret_step = step;
			return true;
		}
	}
	return false;
}

static int single(uint64_t bits)
{
	return bits && !(bits & (bits - 1)) ? __builtin_ctzll(bits) : -1;
}

static void days_words(const CronSpec *spec, char *buffer, size_t size)
{
	static const char *const names[] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
		"Saturday" };
	bool all_days = spec->days == ALL_DAYS, all_weekdays = spec->weekdays == ALL_WEEKDAYS;

	*buffer = '\0';
	if (all_days && all_weekdays)
		(void)snprintf(buffer, size, "%s", "");
	else if (all_days && spec->weekdays == 0x3e)
		(void)snprintf(buffer, size, " on Monday to Friday");
	else if (all_days && spec->weekdays == 0x41)
		(void)snprintf(buffer, size, " on Saturday and Sunday");
	else if (all_days && single(spec->weekdays) >= 0)
		(void)snprintf(buffer, size, " on %s", names[single(spec->weekdays)]);
	else if (all_weekdays && single(spec->days) >= 0)
		(void)snprintf(buffer, size, " on day %d of the month", single(spec->days));
	else
		(void)snprintf(buffer, size, "?");
}

const char *cron_spec_words(const CronSpec *spec, const char *expression, char *buffer, size_t size)
{
	int minute = single(spec->minutes), hour = single(spec->hours);
	unsigned int minutes = 0, hours = 0;
	char days[48];

	if (spec->reboot) {
		(void)snprintf(buffer, size, "when the machine has started");
		return buffer;
	}
	days_words(spec, days, sizeof(days));
	if (spec->months != ALL_MONTHS || *days == '?' || !is_every(spec->hours, 23, &hours))
		hours = 0;
	if (spec->months != ALL_MONTHS || *days == '?' || !is_every(spec->minutes, 59, &minutes))
		minutes = 0;
	if (spec->months == ALL_MONTHS && *days != '?' && minute >= 0 && hour >= 0)
		(void)snprintf(buffer, size, "at %02d:%02d%s%s", hour, minute, *days ? "" : " every day", days);
	else if (hours == 1 && minutes == 1)
		(void)snprintf(buffer, size, "every minute%s", days);
	else if (hours == 1 && minutes && 60 % minutes == 0)
		(void)snprintf(buffer, size, "every %u minutes%s", minutes, days);
	else if (hours == 1 && minute >= 0)
		(void)snprintf(buffer, size, "every hour at minute %d%s", minute, days);
	else if (hours && minute >= 0 && 24 % hours == 0)
		(void)snprintf(buffer, size, "every %u hours at minute %d%s", hours, minute, days);
	else
		(void)snprintf(buffer, size, "%s", expression);
	return buffer;
}
