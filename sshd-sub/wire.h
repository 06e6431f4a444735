/* SPDX-License-Identifier: MIT */
/*
 * The messages between the processes of creel-sshd: a fixed header and a bounded payload, one message a datagram, on
 * SOCK_SEQPACKET socket pairs. Both ends are the same binary, so numbers are in host order.
 *
 * The listener's messages are trusted. A worker's are not: what it may say when is a table (allow.h), and every field
 * is read through a WireReader, which never reads past the payload.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/bus/bus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum WireType {
	WIRE_NONE,

	/* worker to monitor */
	WIRE_SIGN,  /* exchange hash; answered by WIRE_SIGNED */
	WIRE_QUERY, /* user, key blob; answered by WIRE_VERDICT */
	WIRE_LOGIN, /* signed data, signature; answered by WIRE_VERDICT */
	WIRE_START, /* number; kind, command, terminal and its modes, environment; answered by WIRE_STARTED or WIRE_REFUSED */
	WIRE_SIGNAL,   /* number; signal name */
	WIRE_CLOSE,    /* number: the client closed the channel before it was told of an end; answered by WIRE_CLOSED */
	WIRE_CONNECT,  /* number; host, port; answered by WIRE_CONNECTED */
	WIRE_LOGIN_SK, /* user, key blob, what a security key signed, signature; answered by WIRE_VERDICT */
	WIRE_BYE,      /* value: WireBye; why, for the log */
	WIRE_TOLD,     /* number: the client was told of its end, after WIRE_EXITED with KEEPER_EXITED_LEFT */

	/* monitor to worker */
	WIRE_SIGNED,  /* signature */
	WIRE_VERDICT, /* value: 1 yes, 0 no; 2 more: no terminals for this login */
	WIRE_STARTED, /* number; one descriptor (pty) or three (stdin, stdout, stderr) */
	WIRE_REFUSED, /* number; a line for the user */
	WIRE_EXITED,  /* number, value: WireExit; code, KEEPER_EXITED_ bits, a line for the user or "" */
	WIRE_CLOSED,  /* number: what it ran is hung up */

	WIRE_CONNECTED, /* number, value: 1 with the socket, 0 with a reason */

	/* listener to monitor, and back */
	WIRE_CONNECTION, /* number, value: 1 = the start-up self-test; peer; descriptors: link, pidfd of the worker */
	WIRE_DROP,       /* number: ended in favour of others, not logged in */
	WIRE_HOSTKEY,    /* public half of the host key */
	WIRE_ADMITTED,   /* number: logged in */

	WIRE_TYPES
} WireType;

#define VERDICT_YES 1U
#define VERDICT_NO_TERMINAL 2U

typedef enum WireBye {
	BYE_CLOSED,   /* the client ended the connection */
	BYE_PROTOCOL, /* it spoke no SSH that we know */
	BYE_TRIES,    /* too many attempts to log in */
	BYE_FAILED,   /* our own fault */
} WireBye;

typedef enum WireExit { EXIT_UNKNOWN, EXIT_STATUS, EXIT_SIGNAL } WireExit;

typedef enum WireKind { KIND_EXEC, KIND_SHELL, KIND_SUBSYSTEM } WireKind;

typedef struct WireHeader {
	uint32_t type; /* WireType */
	uint32_t number;
	uint32_t value;
	uint32_t length; /* of the payload */
} WireHeader;

#define WIRE_FDS_MAX 3U
#define WIRE_HASH_MIN 20U        /* bytes of an exchange hash: SHA-1 ... */
#define WIRE_HASH_MAX 64U        /* ... SHA-512 */
#define WIRE_SIGNATURE_MAX 2048U /* 16384-bit RSA */
#define WIRE_SIGNED_DATA_MAX (KEEPER_KEY_BLOB_MAX + 1024U)
#define WIRE_SK_DATA_SIZE 69U               /* SHA-256 of application, flags, counter, SHA-256 of the request */
#define WIRE_TEXT_MAX 512U                  /* reasons and lines for the user */
#define WIRE_PEER_MAX 128U                  /* "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT" */
#define WIRE_ENVIRONMENT_TOTAL (32U * 1024) /* names and values of one channel together */
#define WIRE_PAYLOAD_MAX (KEEPER_COMMAND_MAX + WIRE_ENVIRONMENT_TOTAL + 4096U)

/* Builds a payload in a buffer of the caller's. What does not fit sets `failed` and adds nothing. */
typedef struct WireWriter {
	uint8_t *data;
	size_t room, used;
	bool failed;
} WireWriter;

void wire_put_u32(WireWriter *writer, uint32_t value);
/* The receiver sees a NUL behind the bytes. */
void wire_put_bytes(WireWriter *writer, const void *data, size_t n);
void wire_put_string(WireWriter *writer, const char *s);

/* Reads a payload. What is missing or out of bounds sets `failed`; then every further result is 0 or empty. */
typedef struct WireReader {
	const uint8_t *at;
	size_t left;
	bool failed;
} WireReader;

uint32_t wire_get_u32(WireReader *reader);
/* At most `max` bytes; `ret_n` is their number. Never NULL; points into the payload. */
const uint8_t *wire_get_bytes(WireReader *reader, size_t max, size_t *ret_n);
/* The same without NUL bytes inside: a C string. */
const char *wire_get_string(WireReader *reader, size_t max);
/* Everything was read and nothing was wrong. */
bool wire_done(const WireReader *reader);

/*
 * Sends one message with `n_fds` descriptors, which stay the caller's. header->length is taken as the payload's size.
 * `flags` are sendmsg(2)'s; MSG_NOSIGNAL is added. Returns 0 or a negative errno (-EAGAIN with MSG_DONTWAIT).
 */
_must_check_ int wire_send(
	int fd, const WireHeader *header, const void *payload, const int *fds, size_t n_fds, int flags);

/*
 * Receives one message into `payload` (WIRE_PAYLOAD_MAX + 1 bytes). Descriptors are the caller's afterwards, and
 * close-on-exec. Returns 1; 0 at the end of the connection; -EAGAIN with MSG_DONTWAIT; -EBADMSG for a message that is cut,
 * too long, lies about its length or carries more than WIRE_FDS_MAX descriptors; other negative errnos of recvmsg(2).
 */
_must_check_ int wire_receive(int fd, WireHeader *ret_header, uint8_t *payload, int ret_fds[static WIRE_FDS_MAX],
	size_t *ret_n_fds, int flags);
