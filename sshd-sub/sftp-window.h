/* SPDX-License-Identifier: MIT */
/*
 * How many SFTP requests are on their way to sftp-server unanswered. OpenSSH's sftp-server, fed faster than it works,
 * copies its whole queue for every request: a client that sends many small ones (PuTTY's does) made a 50 MB upload take
 * 45 s. With at most SFTP_WINDOW unanswered requests it never has a queue to copy.
 *
 * What runs is known by what it says, not by what was asked for: a key's command= may run an sftp-server in an exec or a
 * shell, and the policy another program as the subsystem. Where the client begins with INIT and the process with VERSION
 * (draft-ietf-secsh-filexfer-02 section 4), both speak SFTP; else nothing is ever held back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SFTP_WINDOW 64U

/* Where one direction of the stream stands between messages: uint32 length, then that many bytes. */
typedef struct SftpFramer {
	uint32_t left; /* bytes of the current message's body */
	uint8_t head[4];
	uint8_t head_n;
} SftpFramer;

/* How one direction begins. */
typedef struct SftpStart {
	uint8_t head[5]; /* length and type of the first message */
	uint8_t n;
	bool fits;
} SftpStart;

/* One process and its client; zeroed at the beginning. */
typedef struct SftpWindow {
	bool other; /* one of them speaks something else */
	SftpStart asks, answers;
	SftpFramer requests, replies;
	unsigned int unanswered;
} SftpWindow;

/*
 * Walks over `n` bytes and counts the messages that begin in them, up to `most`.
 * Returns how many bytes were walked: fewer than `n` only if the next one would begin message most + 1.
 */
size_t sftp_walk(SftpFramer *framer, const uint8_t *data, size_t n, unsigned int most, unsigned int *ret_begun);

/* How many of the `n` bytes that are next may go to the process now. */
size_t sftp_may_send(const SftpWindow *window, const uint8_t *data, size_t n);
/* These went to the process. */
void sftp_sent(SftpWindow *window, const uint8_t *data, size_t n);
/* These came from it. */
void sftp_came(SftpWindow *window, const uint8_t *data, size_t n);
/* Both speak SFTP: requests are counted, and may be held back. */
bool sftp_holds(const SftpWindow *window);
