/* SPDX-License-Identifier: MIT */
/* authorized_keys: the first two bytes say how much of the input is the key blob, the rest is the file. */
#include "shell/session/keys.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	KeyOptions options = { 0 };
	KeyReason reason;
	size_t blob_n;

	if (n < 2)
		return 0;
	blob_n = (size_t)data[0] << 8 | data[1];
	if (blob_n > n - 2)
		blob_n = n - 2;
	(void)keys_find((const char *)data + 2 + blob_n, n - 2 - blob_n, data + 2, blob_n, &options, &reason);
	key_options_done(&options);
	if (memchr(reason.text, '\0', sizeof(reason.text)) == NULL)
		__builtin_trap();
	return 0;
}
