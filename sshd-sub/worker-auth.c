/* SPDX-License-Identifier: MIT */
/*
 * libssh (0.10 to 0.12) does not answer at all a request whose key type it cannot parse or whose signature algorithm is
 * not allowed: the client would hang until the grace time is over. So requests are taken from libssh's queue, not by
 * callbacks; its log says how many came ("Auth request for service"); and for each that never reached the queue the
 * default reply of an earlier request is sent once more. ssh_message_get() polls when the queue is empty, so it is called
 * only when the log says that something came.
 *
 * A forged signature does not take that road: EVP_DigestVerify() here always agrees (split.c), and the monitor says no.
 */
#define SSH_SUPPRESS_DEPRECATED /* the queue is the only interface that can answer later, and stays through 0.12 */
#include "sshd-sub/worker-auth.h"
#include "sshd-sub/allow.h"
#include "sshd-sub/split.h"

#include <libssh/callbacks.h>
#include <libssh/server.h>
#include <openssl/evp.h>
#include <string.h>

/* The log callback has no session: one connection a process. */
static unsigned int requests_seen;

static void on_log(int priority, const char *function, const char *text, void *userdata)
{
	if (strstr(text, "Auth request for service") || strstr(text, "Received a SERVICE_REQUEST"))
		requests_seen++;
}

bool auth_saw_requests(void)
{
	return requests_seen > 0;
}

void auth_begin(Auth *auth, ssh_session session, Link *link, const char *banner)
{
	*auth = (Auth){ .session = session, .link = link, .banner = banner };
	requests_seen = 0;
	(void)ssh_set_log_callback(on_log);
}

void auth_listen(void)
{
	(void)ssh_set_log_level(SSH_LOG_PACKET);
}

void auth_end(Auth *auth)
{
	(void)ssh_set_log_level(SSH_LOG_NOLOG);
	if (auth->kept)
		ssh_message_free(auth->kept);
	auth->kept = NULL;
}

/* Returns 1 (yes), 0 (no) or a negative errno. */
static int ask(Auth *auth, WireType type, const WireWriter *payload)
{
	_cleanup_(link_message_freep) LinkMessage *answer = NULL;
	int r;

	r = link_ask(auth->link, type, payload, WIRE_VERDICT, &answer);
	if (r < 0)
		return r;
	auth->no_terminal = answer->header.value & VERDICT_NO_TERMINAL;
	return answer->header.value & VERDICT_YES;
}

/* Returns the number of bytes, 0 when there are none or too many. */
static size_t export_key(ssh_key key, uint8_t blob[static KEEPER_KEY_BLOB_MAX])
{
	_cleanup_free_ char *base64 = NULL;
	size_t n;
	int decoded;

	if (ssh_pki_export_pubkey_base64(key, &base64) != SSH_OK)
		return 0;
	n = strlen(base64);
	if (!n || n % 4 || n / 4 * 3 > KEEPER_KEY_BLOB_MAX)
		return 0;
	decoded = EVP_DecodeBlock(blob, (const unsigned char *)base64, (int)n);
	if (decoded < 0)
		return 0;
	/* EVP_DecodeBlock() counts the padding as bytes */
	decoded -= base64[n - 1] == '=';
	decoded -= base64[n - 2] == '=';
	return (size_t)decoded;
}

static int ask_about_key(Auth *auth, const char *user, ssh_key key)
{
	uint8_t buffer[KEEPER_KEY_BLOB_MAX + KEEPER_USER_MAX + 16], blob[KEEPER_KEY_BLOB_MAX];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	size_t n = export_key(key, blob);

	if (!n || strlen(user) > KEEPER_USER_MAX)
		return 0;
	wire_put_string(&writer, user);
	wire_put_bytes(&writer, blob, n);
	return ask(auth, WIRE_QUERY, &writer);
}

/*
 * A security key signs hashes, so what libssh verifies does not hold the request; the monitor puts that together again
 * from the names and the session id that it signed itself. No request of another key is as short.
 */
static int put_security_key(WireWriter *writer, const char *user, ssh_key key)
{
	uint8_t blob[KEEPER_KEY_BLOB_MAX];
	size_t n = export_key(key, blob);

	if (!n || strlen(user) > KEEPER_USER_MAX)
		return -EINVAL;
	wire_put_string(writer, user);
	wire_put_bytes(writer, blob, n);
	return 0;
}

static int ask_for_login(Auth *auth, const char *user, ssh_key key)
{
	uint8_t buffer[WIRE_SIGNED_DATA_MAX + KEEPER_USER_MAX + WIRE_SK_DATA_SIZE + WIRE_SIGNATURE_MAX + 32];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	Slice data = split_signed_data(), signature = split_signature();
	const bool is_sk = data.n == WIRE_SK_DATA_SIZE;

	if (!data.n || (is_sk && put_security_key(&writer, user, key) < 0))
		return 0;
	wire_put_bytes(&writer, data.data, data.n);
	wire_put_bytes(&writer, signature.data, signature.n);
	split_forget(); /* one signature, one question */
	return ask(auth, is_sk ? WIRE_LOGIN_SK : WIRE_LOGIN, &writer);
}

static int serve_publickey(Auth *auth, ssh_message message)
{
	int r;

	switch (ssh_message_auth_publickey_state(message)) {
	case SSH_PUBLICKEY_STATE_NONE:
		r = ask_about_key(auth, ssh_message_auth_user(message), ssh_message_auth_pubkey(message));
		if (r <= 0)
			return r;
		return ssh_message_auth_reply_pk_ok_simple(message) == SSH_OK ? 1 : -EPROTO;
	case SSH_PUBLICKEY_STATE_VALID:
		r = ask_for_login(auth, ssh_message_auth_user(message), ssh_message_auth_pubkey(message));
		auth->entered = r > 0;
		return r;
	default:
		return 0;
	}
}

/*
 * Counts what failed; "none", with which clients ask what there is, is no try. The last try gets no answer of its own:
 * the client would go on talking, and our closing then destroy the message that says why.
 */
static int refuse(Auth *auth, ssh_message message, bool is_try)
{
	if (is_try && ++auth->failures >= ALLOW_TRIES_MAX)
		return -EPERM;
	return ssh_message_reply_default(message) == SSH_OK ? 0 : -EPROTO;
}

/* RFC 4252 section 5.4: once, when the client has begun. */
static int send_banner(Auth *auth)
{
	const char *text = TAKE_PTR(auth->banner);
	ssh_string banner;
	int r;

	if (!text)
		return 0;
	banner = ssh_string_from_char(text);
	if (!banner)
		return -ENOMEM;
	r = ssh_send_issue_banner(auth->session, banner);
	ssh_string_free(banner);
	return r == SSH_OK ? 0 : -EPROTO;
}

static int serve_message(Auth *auth, ssh_message message)
{
	int method, r;

	if (ssh_message_type(message) == SSH_REQUEST_SERVICE) {
		const char *service = ssh_message_service_service(message);

		if (!service || strcmp(service, "ssh-userauth") != 0)
			return -EPROTO;
		return ssh_message_service_reply_success(message) == SSH_OK ? 0 : -EPROTO;
	}
	if (ssh_message_type(message) != SSH_REQUEST_AUTH)
		return refuse(auth, message, false);

	r = send_banner(auth);
	if (r < 0)
		return r;
	method = ssh_message_subtype(message);
	if (method != SSH_AUTH_METHOD_PUBLICKEY)
		return refuse(auth, message, method != SSH_AUTH_METHOD_NONE);
	r = serve_publickey(auth, message);
	return r == 0 ? refuse(auth, message, true) : r < 0 ? r : 0;
}

int auth_serve(Auth *auth)
{
	while (auth->answered < requests_seen) {
		ssh_message message = ssh_message_get(auth->session);
		int r;

		if (!message) {
			/* came, but libssh did not queue it: nobody else will answer */
			auth->answered++;
			if (!auth->kept)
				return -EPROTO;
			r = refuse(auth, auth->kept, true);
			if (r < 0)
				return r;
			continue;
		}
		auth->answered++;
		r = serve_message(auth, message);
		if (!r && auth->entered)
			r = ssh_message_auth_reply_success(message, 0) == SSH_OK ? 1 : -EPROTO;
		if (!r && !auth->kept && ssh_message_type(message) == SSH_REQUEST_AUTH)
			auth->kept = message;
		else
			ssh_message_free(message);
		if (r)
			return r;
	}
	return 0;
}
