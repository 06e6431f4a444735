/* SPDX-License-Identifier: MIT */
/* What is recorded, before secrets are left out of it. Whatever is not left out stays, in its order; a second pass finds no new text. */
#include "shell/audit/redact.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(int holds)
{
	if (!holds)
		abort();
}

/* Between the marks stand pieces of the text, in order. */
static void expect_pieces(const char *s, size_t n, const char *made, size_t made_n)
{
	static const size_t mark_n = sizeof(REDACTED) - 1;

	while (made_n) {
		const char *mark = memmem(made, made_n, REDACTED, mark_n);
		size_t piece = mark ? (size_t)(mark - made) : made_n;
		const char *found = piece ? memmem(s, n, made, piece) : s;

		expect(found != NULL);
		n -= (size_t)(found - s) + piece;
		s = found + piece;
		made += piece;
		made_n -= piece;
		if (mark) {
			made += mark_n;
			made_n -= mark_n;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *copy = malloc(n + 1), *made = NULL;
	size_t made_n = 0;
	int r;

	expect(copy != NULL);
	if (n)
		memcpy(copy, data, n);
	r = redact(copy, n, &made, &made_n);
	expect(r >= 0 && (r == 0) == (made == NULL));
	if (made && !memmem(copy, n, REDACTED, sizeof(REDACTED) - 1))
		expect_pieces(copy, n, made, made_n);
	free(made);
	free(copy);
	return 0;
}
