/* SPDX-License-Identifier: MIT */
/* Options in front of a key, and whom they admit: the first byte says how long the address is. */
#include "shell/session/key-options.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	KeyOptions options;
	KeyReason reason;
	char address[64] = "";
	size_t address_n;

	if (n < 1)
		return 0;
	address_n = data[0] % sizeof(address);
	if (address_n > n - 1)
		address_n = n - 1;
	memcpy(address, data + 1, address_n);
	address[address_n < sizeof(address) ? address_n : sizeof(address) - 1] = '\0';
	if (key_options_parse((const char *)data + 1 + address_n, n - 1 - address_n, &options, &reason) == 0) {
		(void)key_options_admit(&options, address, 1800000000, &reason);
		key_options_done(&options);
	}
	return 0;
}
