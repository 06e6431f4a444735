/* SPDX-License-Identifier: MIT */
/* The worker's part of logging in: it carries questions to the monitor and answers to the client, and decides nothing. */
#pragma once

#include "sshd-sub/link.h"

#include <libssh/libssh.h>

typedef struct Auth {
	ssh_session session;
	Link *link;
	const char *banner;    /* still to be sent, or NULL */
	void *kept;            /* ssh_message: the first request, for replies that libssh forgets */
	unsigned int answered; /* requests */
	unsigned int failures;
	bool entered, no_terminal;
} Auth;

/* Context: worker, before the key exchange. All arguments are borrowed; `banner` may be NULL. */
void auth_begin(Auth *auth, ssh_session session, Link *link, const char *banner);

/*
 * From now on requests are counted. To be called when the exchange is signed: the client cannot send any before, and
 * whoever of libssh's functions sends the signature may read what follows it, too.
 */
void auth_listen(void);

/*
 * Answers all requests that libssh has queued. To be called after every piece of input once keys are exchanged, and also
 * right then: requests may have come in the same segment.
 * Returns 1 when the client has logged in, 0 when more is to come, -EPERM after too many tries, -EPROTO when the client
 * asks for what we do not have, or another negative errno when the monitor is gone.
 */
_must_check_ int auth_serve(Auth *auth);

void auth_end(Auth *auth);

/* Did libssh's log say what auth_serve() counts on? For the self-test. */
bool auth_saw_requests(void);
