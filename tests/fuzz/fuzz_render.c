/* SPDX-License-Identifier: MIT */
/*
 * A message for a channel: channel (1 byte), which parts there are (1: bits), language or none (1), then the parts behind one
 * another, each ended by two NUL bytes: code, stdout, stderr, error, file's name, file of all. Whatever they hold, the
 * model of the channel finds nothing wrong.
 */
#include "tests/fuzz/render-model.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The next part, as new memory with a NUL behind it. */
static char *take(const uint8_t **data, size_t *n, size_t *ret_n)
{
	const uint8_t *end = memmem(*data, *n, "\0", 2);
	size_t length = end ? (size_t)(end - *data) : *n, used = end ? length + 2 : length;
	char *part = malloc(length + 1);

	if (!part)
		abort();
	if (length)
		memcpy(part, *data, length);
	part[length] = '\0';
	*data += used;
	*n -= used;
	*ret_n = length;
	return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const languages[] = { NULL, "python", "c++", "bash" };
	RenderRequest request = { 0 };
	RenderFile files[3] = { { "chart.png", "ok", 12345 } };
	const RenderChannel *channel;
	char *parts[6], *message = NULL;
	size_t sizes[6], message_n = 0;
	bool shortened;
	FILE *file;

	if (n < 3)
		return 0;
	channel = render_channel_at(data[0] % 5);
	request.language = languages[data[2] % ELEMENTSOF(languages)];
	uint8_t bits = data[1];
	data += 3;
	n -= 3;
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		parts[i] = take(&data, &n, &sizes[i]);
	request.code = (RenderText){ parts[0], sizes[0] };
	request.stdout_text = (RenderText){ parts[1], sizes[1] };
	request.stderr_text = (RenderText){ parts[2], sizes[2] };
	request.error = bits & 1 ? parts[3] : NULL;
	files[1] = (RenderFile){ parts[4], "special", 1 };
	files[2] = (RenderFile){ parts[4], parts[3], 1 };
	request.files = files;
	request.n_files = bits & 2 ? bits >> 6 : 0;
	request.stdout_file = bits & 4 ? parts[5] : NULL;
	request.stderr_file = bits & 8 ? parts[5] : NULL;
	request.full_file = bits & 16 ? parts[5] : NULL;
	request.left_out = bits & 32;

	file = open_memstream(&message, &message_n);
	if (!file || render(channel, &request, file, &shortened) < 0 || fclose(file) != 0)
		abort();
	const char *wrong = render_model_check(channel, request.language, message, message_n);

	if (wrong) {
		(void)fprintf(stderr, "%s: %s\n%s\n", channel->name, wrong, message);
		__builtin_trap();
	}
	free(message);
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		free(parts[i]);
	return 0;
}
