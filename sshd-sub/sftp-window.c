/* SPDX-License-Identifier: MIT */
#include "sshd-sub/sftp-window.h"

#define TYPE_INIT 1U
#define TYPE_VERSION 2U
#define START_LENGTH_MIN 5U             /* type and version */
#define START_LENGTH_MAX (256U * 1024U) /* with extensions: the most that sftp-server takes */

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

/* Takes the first bytes of one direction. False: they are not SFTP's. */
static bool start_reads(SftpStart *start, uint8_t type, const uint8_t *data, size_t n)
{
	uint32_t length;

	if (start->fits)
		return true;
	while (n && start->n < sizeof(start->head)) {
		start->head[start->n++] = *data++;
		n--;
	}
	if (start->n && start->head[0])
		return false; /* 16 MB or more: of most that is something else the first byte says so */
	if (start->n < sizeof(start->head))
		return true;
	length = (uint32_t)start->head[1] << 16 | (uint32_t)start->head[2] << 8 | start->head[3];
	start->fits = length >= START_LENGTH_MIN && length <= START_LENGTH_MAX && start->head[4] == type;
	return start->fits;
}

bool sftp_holds(const SftpWindow *window)
{
	return !window->other && window->asks.fits && window->answers.fits;
}

size_t sftp_may_send(const SftpWindow *window, const uint8_t *data, size_t n)
{
	SftpFramer ahead = window->requests;
	unsigned int begun;

	if (!sftp_holds(window))
		return n;
	return sftp_walk(
		&ahead, data, n, window->unanswered < SFTP_WINDOW ? SFTP_WINDOW - window->unanswered : 0, &begun);
}

void sftp_sent(SftpWindow *window, const uint8_t *data, size_t n)
{
	unsigned int begun;

	if (window->other)
		return;
	window->other = !start_reads(&window->asks, TYPE_INIT, data, n);
	(void)sftp_walk(&window->requests, data, n, UINT32_MAX, &begun);
	window->unanswered += begun;
}

void sftp_came(SftpWindow *window, const uint8_t *data, size_t n)
{
	unsigned int answered;

	if (window->other)
		return;
	window->other = !start_reads(&window->answers, TYPE_VERSION, data, n);
	(void)sftp_walk(&window->replies, data, n, UINT32_MAX, &answered);
	window->unanswered -= answered < window->unanswered ? answered : window->unanswered;
}
