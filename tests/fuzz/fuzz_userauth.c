/* SPDX-License-Identifier: MIT */
/* The signed request of a login: the first two bytes say how much of the input is the signature, the rest is signed. */
#include "sshd-sub/userauth.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	Slice signature, session_id;
	Userauth auth;
	size_t signature_n;

	if (n < 2)
		return 0;
	signature_n = (size_t)data[0] << 8 | data[1];
	if (signature_n > n - 2)
		signature_n = n - 2;
	signature = (Slice){ data + 2, signature_n };
	data += 2 + signature_n;
	n -= 2 + signature_n;

	if (userauth_parse(data, n, &auth) == 0) {
		if (!auth.user[0] || strlen(auth.user) > KEEPER_USER_MAX || auth.key.n > n)
			__builtin_trap();
		session_id = auth.session_id;
		(void)!userauth_key_check(auth.key);
		(void)!userauth_verify(data, n, session_id, signature, &auth);
	}
	(void)!userauth_key_check((Slice){ data, n });
	if (n >= 69)
		(void)!userauth_verify_sk("agent", (Slice){ data + 69, n - 69 }, (Slice){ data, 32 },
			(Slice){ data, 69 }, signature, &auth);
	return 0;
}
