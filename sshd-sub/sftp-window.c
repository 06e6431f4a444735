/* SPDX-License-Identifier: MIT */
#include "sshd-sub/sftp-window.h"

size_t sftp_walk(SftpFramer *framer, const uint8_t *data, size_t n, unsigned int most, unsigned int *ret_begun)
{
	unsigned int begun = 0;
	size_t at = 0;

	while (at < n) {
		if (framer->left) {
			size_t step = n - at < framer->left ? n - at : framer->left;

			framer->left -= (uint32_t)step;
			at += step;
			continue;
		}
		if (!framer->head_n) {
			if (begun == most)
				break;
			begun++;
		}
		framer->head[framer->head_n++] = data[at++];
		if (framer->head_n == 4) {
			framer->left = (uint32_t)framer->head[0] << 24 | (uint32_t)framer->head[1] << 16 |
				       (uint32_t)framer->head[2] << 8 | framer->head[3];
			framer->head_n = 0;
		}
	}
	*ret_begun = begun;
	return at;
}
