/* SPDX-License-Identifier: MIT */
/* SFTP framing: however a stream is cut (the first byte), the same messages begin in it, and none beyond what is allowed. */
#include "sshd-sub/sftp-window.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	SftpFramer whole = { 0 }, cut = { 0 };
	unsigned int total = 0, expected;
	size_t step, at = 0;

	if (!n)
		return 0;
	step = data[0] % 64U + 1;
	data++;
	n--;
	if (sftp_walk(&whole, data, n, UINT32_MAX, &expected) != n)
		__builtin_trap();
	while (at < n) {
		size_t part = n - at < step ? n - at : step, walked;
		unsigned int begun;

		walked = sftp_walk(&cut, data + at, part, 1, &begun);
		if (walked > part || begun > 1 || (walked < part && !begun))
			__builtin_trap();
		total += begun;
		at += walked;
	}
	if (total != expected || cut.left != whole.left || cut.head_n != whole.head_n)
		__builtin_trap();
	return 0;
}
