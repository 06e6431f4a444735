/* SPDX-License-Identifier: MIT */
/*
 * What comes out of a pipe: its head and its tail are kept in memory, and all of it is in a file of the agent's once that is
 * not enough. One of a run's stdout, one of its stderr; a REPL's pipes are attached to one call's streams after the other's.
 */
#pragma once

#include "shell/keeper/spill.h"

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

typedef struct Stream Stream;

typedef struct StreamWatcher {
	/* Bytes came. Must not free the stream. */
	void (*came)(Stream *stream, const void *bytes, size_t n);
	/* -EFBIG: more than `most` came; -EDQUOT, -ENOSPC: its file met a limit. Once. Must not free the stream. */
	void (*full)(Stream *stream, int error);
} StreamWatcher;

struct Stream {
	const StreamWatcher *watcher;
	void *owner;    /* the watcher's own */
	uint64_t room;  /* bytes that are kept in memory, at most */
	uint64_t most;  /* bytes that may come at all */
	uint64_t bytes; /* that came */
	Spill spill;
	bool full;
	bool unkept; /* the file has not all of it */
	int fd;      /* borrowed, not blocking; -EBADF: not attached */
	sd_event_source *source;
	/* the first half of the room, then a ring */
	char *head, *tail;
	size_t head_n, head_room, tail_n, tail_room, tail_at;
};

/* An empty one that is attached to nothing. `name` is the file's, below the folder that spill.h names. */
void stream_init(Stream *stream, const StreamWatcher *watcher, void *owner, uint64_t room, uint64_t most);

/* Reads `fd` as it fills, from `event`, until stream_detach() or its end. One stream a descriptor at a time. */
_must_check_ int stream_attach(Stream *stream, sd_event *event, int fd);

/* Reads what is in the pipe now: nobody that lives can make it endless. True: it is at its end, nobody holds the other one. */
bool stream_drain(Stream *stream);
void stream_detach(Stream *stream);

/*
 * A new memfd of root's, which others may only read, with a copy of what is kept, and how many bytes of it are head: all of
 * them where nothing is left out.
 */
_must_check_ int stream_result(Stream *stream, int *ret_fd, uint64_t *ret_head);

/* Of a stream that was never filled, too. */
void stream_done(Stream *stream);
