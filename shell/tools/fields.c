/* SPDX-License-Identifier: MIT */
#include "shell/tools/fields.h"
#include "shell/base/quantity.h"
#include "shell/base/str.h"
#include "shell/bus/run.h"

#include <math.h>
#include <string.h>

/* A number above it is none that a double holds exactly, and none that anybody means. */
#define NUMBER_MAX 9007199254740992.0

static const Field *field_find(const Field *fields, const char *name)
{
	for (const Field *field = fields; field->name; field++)
		if (strcmp(field->name, name) == 0)
			return field;
	return NULL;
}

static const char *what_is(FieldType type)
{
	switch (type) {
	case FIELD_STRING:
		return "a string without NUL bytes";
	case FIELD_TEXT:
		return "a string";
	case FIELD_SESSION:
		return RUN_SESSION_RULE;
	case FIELD_STRINGS:
		return "a list of strings without NUL bytes";
	case FIELD_FLAG:
		return "true or false";
	case FIELD_TIME:
		return "a time: a number of seconds, or text such as \"500ms\" or \"30s\"";
	case FIELD_SIZE:
		return "a size: a number of bytes, or text such as \"256M\"";
	case FIELD_CORES:
		return "a number of cores, as in 0.5 or 2";
	default:
		return "a whole number";
	}
}

static QuantityKind kind_of(FieldType type)
{
	switch (type) {
	case FIELD_TIME:
		return QUANTITY_TIME;
	case FIELD_SIZE:
		return QUANTITY_SIZE;
	case FIELD_CORES:
		return QUANTITY_CORES;
	default:
		return QUANTITY_COUNT;
	}
}

static bool is_plain(const json_t *value)
{
	return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

static int quantity_read(FieldType type, const json_t *value, uint64_t *ret)
{
	bool parts = type == FIELD_TIME || type == FIELD_CORES;
	double number;

	if (is_plain(value) && type != FIELD_COUNT)
		return quantity_parse(kind_of(type), json_string_value(value), ret);
	if (!json_is_number(value) || (!parts && !json_is_integer(value)))
		return -EINVAL;
	number = json_number_value(value) * (parts ? 1e6 : 1);
	if (!(number >= 0) || number > NUMBER_MAX)
		return -EINVAL;
	*ret = (uint64_t)llround(number);
	return 0;
}

static int strings_read(const json_t *value, char ***ret)
{
	size_t n = json_array_size(value);
	_cleanup_free_ char **strings = NULL;

	if (!json_is_array(value))
		return -EINVAL;
	strings = calloc(n + 1, sizeof(*strings));
	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(value, i);

		if (!is_plain(one))
			return -EINVAL;
		strings[i] = (char *)json_string_value(one);
	}
	free(*ret);
	*ret = TAKE_PTR(strings);
	return 0;
}

static int field_read(const Field *field, const json_t *value, void *at)
{
	switch (field->type) {
	case FIELD_STRING:
		if (!is_plain(value))
			return -EINVAL;
		*(const char **)at = json_string_value(value);
		return 0;
	case FIELD_SESSION:
		if (!is_plain(value) || !run_session_valid(json_string_value(value)))
			return -EINVAL;
		*(const char **)at = json_string_value(value);
		return 0;
	case FIELD_TEXT:
		if (!json_is_string(value))
			return -EINVAL;
		*(FieldText *)at = (FieldText){ json_string_value(value), json_string_length(value) };
		return 0;
	case FIELD_STRINGS:
		return strings_read(value, at);
	case FIELD_FLAG:
		if (!json_is_boolean(value))
			return -EINVAL;
		*(bool *)at = json_is_true(value);
		return 0;
	default:
		return quantity_read(field->type, value, at);
	}
}

int fields_read(const json_t *object, const Field *fields, void *ret, char *why, size_t why_size)
{
	const char *name;
	json_t *value;
	int r;

	json_object_foreach((json_t *)object, name, value)
	{
		const Field *field = field_find(fields, name);
		char shown[96];

		if (!field) {
			(void)snprintf(why, why_size, "`%s` is unknown here",
				str_quote(name, strlen(name), shown, sizeof(shown)));
			return -EINVAL;
		}
		if (json_is_null(value) && !field->required)
			continue;
		r = field_read(field, value, (char *)ret + field->offset);
		if (r == -EINVAL || r == -ERANGE)
			(void)snprintf(why, why_size, "`%s` must be %s", name, what_is(field->type));
		if (r < 0)
			return r == -ERANGE ? -EINVAL : r;
	}
	for (const Field *field = fields; field->name; field++)
		if (field->required && !json_object_get(object, field->name)) {
			(void)snprintf(why, why_size, "`%s` is missing", field->name);
			return -EINVAL;
		}
	return 0;
}
