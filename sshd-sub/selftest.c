/* SPDX-License-Identifier: MIT */
#include "sshd-sub/selftest.h"
#include "sshd-sub/hostkey.h"
#include "sshd-sub/split.h"
#include "sshd-sub/worker-auth.h"

#include <fcntl.h>
#include <libssh/callbacks.h>
#include <string.h>
#include <sys/socket.h>

#define SELFTEST_USER "self-test"
#define ROUNDS_MAX 100000U

static const char *const ciphers[] = {
	"chacha20-poly1305@openssh.com",
	"aes256-gcm@openssh.com",
	"aes128-gcm@openssh.com",
	"aes256-ctr",
	"aes128-ctr",
};

typedef struct Selftest {
	ssh_session client, server;
	ssh_event event;
	Link link;
	Auth auth;
	ssh_key key;
	bool exchanged;                 /* as the server sees it */
	bool connected, asked, entered; /* as the client sees it */
} Selftest;

static void selftest_done(Selftest *test)
{
	split_enter(SPLIT_OFF, NULL, NULL);
	if (test->auth.session)
		auth_end(&test->auth);
	if (test->event)
		ssh_event_free(test->event);
	if (test->client) {
		ssh_disconnect(test->client);
		ssh_free(test->client);
	}
	if (test->server) {
		ssh_disconnect(test->server);
		ssh_free(test->server);
	}
	ssh_key_free(test->key);
	fd_close(test->link.fd);
}

static int link_open(int control_fd, Link *ret)
{
	static const char peer[] = "::1 0 ::1 0";
	WireHeader header = { .type = WIRE_CONNECTION, .value = 1 };
	uint8_t buffer[64];
	WireWriter payload = { .data = buffer, .room = sizeof(buffer) };
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	wire_put_string(&payload, peer);
	header.length = (uint32_t)payload.used;
	r = wire_send(control_fd, &header, payload.data, &pair[1], 1, 0);
	fd_close(pair[1]);
	if (r < 0) {
		fd_close(pair[0]);
		return r;
	}
	link_init(ret, pair[0]);
	return 0;
}

static int client_new(int fd, const char *cipher, ssh_session *ret)
{
	_cleanup_(ssh_freep) ssh_session session = ssh_new();
	bool no = false;

	if (!session)
		return -ENOMEM;
	if (ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_USER, SELFTEST_USER) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_HOST, "localhost") < 0 ||
		ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, cipher) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, cipher) < 0 ||
		ssh_options_set(session, SSH_OPTIONS_FD, &fd) < 0)
		return -EINVAL;
	ssh_set_blocking(session, 0);
	*ret = TAKE_PTR(session);
	return 0;
}

/* The client verified a signature by some host key: was it ours? */
static int check_host(ssh_session client, const uint8_t *public)
{
	_cleanup_free_ char *base64 = NULL;
	uint8_t blob[128];
	ssh_key key = NULL;
	int n, r;

	if (ssh_get_server_publickey(client, &key) != SSH_OK)
		return -EPROTO;
	r = ssh_pki_export_pubkey_base64(key, &base64);
	ssh_key_free(key);
	if (r != SSH_OK || strlen(base64) > sizeof(blob))
		return -EPROTO;
	n = EVP_DecodeBlock(blob, (const unsigned char *)base64, (int)strlen(base64));
	/* string "ssh-ed25519", string key: 4 + 11 + 4 bytes before the key itself */
	return n >= 19 + (int)HOSTKEY_PUBLIC_SIZE && memcmp(blob + 19, public, HOSTKEY_PUBLIC_SIZE) == 0 ? 0 : -EPROTO;
}

static int client_step(Selftest *test, const uint8_t *host_public)
{
	int r;

	if (!test->connected) {
		r = ssh_connect(test->client);
		if (r == SSH_AGAIN)
			return 0;
		if (r != SSH_OK)
			return -EPROTO;
		test->connected = true;
		return check_host(test->client, host_public);
	}
	r = test->asked ? ssh_userauth_publickey(test->client, NULL, test->key)
			: ssh_userauth_try_publickey(test->client, NULL, test->key);
	if (r == SSH_AUTH_AGAIN)
		return 0;
	if (r != SSH_AUTH_SUCCESS)
		return -EPROTO;
	test->entered = test->asked;
	test->asked = true;
	return 0;
}

static int server_step(Selftest *test)
{
	int r;

	if (!test->exchanged) {
		r = ssh_handle_key_exchange(test->server);
		if (r == SSH_ERROR)
			return -EPROTO;
		test->exchanged = r == SSH_OK;
		/* only now has libssh a poll context that can be moved */
		if (test->exchanged && ssh_event_add_session(test->event, test->server) != SSH_OK)
			return -ENOMEM;
		return 0;
	}
	if (ssh_event_dopoll(test->event, 0) == SSH_ERROR)
		return -EPROTO;
	if (test->auth.entered)
		return 0;
	r = auth_serve(&test->auth);
	return r < 0 ? r : 0;
}

static int selftest_login(ssh_bind offer, int control_fd, const uint8_t *host_public, const char *cipher)
{
	_cleanup_(selftest_done) Selftest test = { .link.fd = -EBADF };
	int pair[2], r;

	r = link_open(control_fd, &test.link);
	if (r < 0)
		return r;
	split_enter(SPLIT_SELFTEST, &test.link, auth_listen);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = client_new(pair[0], cipher, &test.client); /* the sessions close the descriptors */
	if (r >= 0)
		r = offer_session_new(offer, pair[1], 0, &test.server);
	if (r < 0)
		return r;
	test.event = ssh_event_new();
	if (!test.event)
		return -ENOMEM;
	if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &test.key) != SSH_OK)
		return -ENOMEM;
	auth_begin(&test.auth, test.server, &test.link, NULL);

	for (unsigned int round = 0; round < ROUNDS_MAX && !test.entered; round++) {
		r = client_step(&test, host_public);
		if (r >= 0)
			r = server_step(&test);
		if (r < 0)
			return r;
	}
	/* the signature of the exchange and that of the user, each exactly once */
	return test.entered && test.auth.entered && split_count() == 2 && auth_saw_requests() ? 0 : -EPROTO;
}

int selftest_run(ssh_bind offer, int control_fd, const uint8_t *host_public, const char **ret_step)
{
	for (size_t i = 0; i < ELEMENTSOF(ciphers); i++) {
		int r = selftest_login(offer, control_fd, host_public, ciphers[i]);

		if (r < 0) {
			*ret_step = ciphers[i];
			return r;
		}
	}
	return 0;
}
