/* SPDX-License-Identifier: MIT */
/*
 * No method here needs a file (group exchange reads moduli), a big exponentiation before login, or SHA-1. Names that
 * this version of libssh does not know (the post-quantum ones, before 0.12) drop out of the list by themselves.
 */
#include "sshd-sub/offer.h"
#include "sshd-sub/userauth.h"

#include <libssh/callbacks.h>

#define OFFER_KEX                                                                          \
	"mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com," \
	"curve25519-sha256,curve25519-sha256@libssh.org"
#define OFFER_MACS "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com"
/* libssh2 before 1.11 knows neither encrypt-then-MAC nor a cipher that needs no MAC */
#define OFFER_MACS_OLDER OFFER_MACS ",hmac-sha2-256,hmac-sha2-512"

int offer_new(const char *key, bool older_clients, ssh_bind *ret)
{
	_cleanup_(ssh_bind_freep) ssh_bind offer = ssh_bind_new();
	const char *macs = older_clients ? OFFER_MACS_OLDER : OFFER_MACS;
	bool no = false;
	ssh_key hostkey = NULL;
	const struct {
		enum ssh_bind_options_e option;
		const void *value;
	} options[] = {
		{ SSH_BIND_OPTIONS_PROCESS_CONFIG, &no }, /* libssh_server_config is not ours */
		{ SSH_BIND_OPTIONS_BANNER, "creel" },
		{ SSH_BIND_OPTIONS_KEY_EXCHANGE, OFFER_KEX },
		{ SSH_BIND_OPTIONS_HOSTKEY_ALGORITHMS, "ssh-ed25519" },
		{ SSH_BIND_OPTIONS_CIPHERS_C_S, OFFER_CIPHERS },
		{ SSH_BIND_OPTIONS_CIPHERS_S_C, OFFER_CIPHERS },
		{ SSH_BIND_OPTIONS_HMAC_C_S, macs },
		{ SSH_BIND_OPTIONS_HMAC_S_C, macs },
		{ SSH_BIND_OPTIONS_PUBKEY_ACCEPTED_KEY_TYPES, USERAUTH_ALGORITHMS },
	};

	if (!offer)
		return -ENOMEM;
	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (ssh_bind_options_set(offer, options[i].option, options[i].value) < 0)
			return -EINVAL;
	if (ssh_pki_import_privkey_base64(key, NULL, NULL, NULL, &hostkey) != SSH_OK)
		return -EKEYREJECTED;
	if (ssh_bind_options_set(offer, SSH_BIND_OPTIONS_IMPORT_KEY, hostkey) < 0) {
		ssh_key_free(hostkey);
		return -EKEYREJECTED;
	}
	*ret = TAKE_PTR(offer);
	return 0;
}

int offer_session_new(ssh_bind offer, int fd, uint64_t rekey_bytes, ssh_session *ret)
{
	_cleanup_(ssh_freep) ssh_session session = ssh_new();

	if (!session)
		return -ENOMEM;
	if (ssh_bind_accept_fd(offer, session, fd) != SSH_OK)
		return -EIO;
	ssh_set_blocking(session, 0);
	/* there is no option of the offer for it, and "no" would still offer zlib@openssh.com */
	if (ssh_options_set(session, SSH_OPTIONS_COMPRESSION_C_S, "none") < 0 ||
		ssh_options_set(session, SSH_OPTIONS_COMPRESSION_S_C, "none") < 0)
		return -EINVAL;
	if (rekey_bytes && ssh_options_set(session, SSH_OPTIONS_REKEY_DATA, &rekey_bytes) < 0)
		return -EINVAL;
	ssh_set_auth_methods(session, SSH_AUTH_METHOD_PUBLICKEY);
	*ret = TAKE_PTR(session);
	return 0;
}
