/* SPDX-License-Identifier: MIT */
/*
 * How many SFTP requests are on their way to sftp-server unanswered. OpenSSH's sftp-server, fed faster than it works,
 * copies its whole queue for every request: a client that sends many small ones (PuTTY's does) made a 50 MB upload take
 * 45 s. With at most SFTP_WINDOW unanswered requests it never has a queue to copy.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SFTP_WINDOW 64U

/* Where one direction of the stream stands between messages: uint32 length, then that many bytes. */
typedef struct SftpFramer {
	uint32_t left; /* bytes of the current message's body */
	uint8_t head[4];
	uint8_t head_n;
} SftpFramer;

/*
 * Walks over `n` bytes and counts the messages that begin in them, up to `most`.
 * Returns how many bytes were walked: fewer than `n` only if the next one would begin message most + 1.
 */
size_t sftp_walk(SftpFramer *framer, const uint8_t *data, size_t n, unsigned int most, unsigned int *ret_begun);
