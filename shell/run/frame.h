/* SPDX-License-Identifier: MIT */
/*
 * Frames between the keeper and the driver of a REPL (shell/drivers), on a stream socket: type (1 byte), length (4 bytes,
 * big endian), payload.
 *
 *   R  keeper -> driver  flags (1 byte: FRAME_FIGURES, FRAME_ECHO, and the interrupts that were sent before), label, NUL,
 *                        code
 *   H  driver -> keeper  once: it is ready
 *   D  driver -> keeper  the call is done: status (FrameStatus), exit status (1 byte), error text
 *
 * The driver lives among the agent's code and is believed nothing: a frame of its is short, and every byte of it is looked at
 * here. No allocation, no input or output but the one read.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD 5U
#define FRAME_MAX 8192U       /* bytes of a driver's frame, head included */
#define FRAME_ERROR_MAX 4096U /* bytes of an error text */
#define FRAME_LABEL_MAX 255U
#define FRAME_FIGURES 1U
#define FRAME_ECHO 2U
/*
 * An interrupt may cross the end of its call. A driver that finds one when the next call has begun to come knows by this number
 * of which it is.
 */
#define FRAME_INTERRUPTS(n) ((uint8_t)((n) % 64U << 2))

typedef enum FrameStatus {
	FRAME_OK = 'o',
	FRAME_EXCEPTION = 'e',
	FRAME_INTERRUPTED = 'i',
	FRAME_EXIT = 'x', /* the code asked to end with the exit status; the interpreter goes on */
} FrameStatus;

/* What came of the driver's bytes so far. Starts as { 0 }. */
typedef struct FrameReader {
	uint8_t bytes[FRAME_MAX];
	size_t n;
} FrameReader;

typedef struct Frame {
	char type; /* H or D */
	/* of D */
	FrameStatus status;
	uint8_t exit_status;
	char error[FRAME_ERROR_MAX +
		   1]; /* UTF-8 without control characters but line feeds and tabs; '?' for what is none */
} Frame;

/* One read(2) of a descriptor that does not block. Returns bytes, 0 at its end, or a negative errno (-EAGAIN: nothing now). */
_must_check_ ssize_t frame_read(FrameReader *reader, int fd);

/* Takes the next one out. 1, 0 (not all of it came yet), or -EBADMSG: this is no driver of ours any more. */
_must_check_ int frame_next(FrameReader *reader, Frame *ret);

/*
 * The beginning of an R frame, up to the code, of which `code_bytes` follow. `label` is cut at FRAME_LABEL_MAX. Returns its
 * bytes.
 */
#define FRAME_BEGIN_MAX (FRAME_HEAD + 1 + FRAME_LABEL_MAX + 1)
size_t frame_begin(uint8_t ret[static FRAME_BEGIN_MAX], uint8_t flags, const char *label, uint32_t code_bytes);
