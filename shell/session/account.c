/* SPDX-License-Identifier: MIT */
#include "shell/session/account.h"

#include <string.h>

#include <security/pam_appl.h>

struct Account {
	pam_handle_t *handle;
	struct pam_conv conversation;
	int last;
};

/* There is nobody to talk to: whatever a module asks gets an empty answer, whatever it tells is dropped. */
static int no_conversation(int n, const struct pam_message **messages, struct pam_response **ret, void *data)
{
	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	*ret = calloc((size_t)n, sizeof(**ret));
	return *ret ? PAM_SUCCESS : PAM_BUF_ERR;
}

int account_new(const char *user, Account **ret)
{
	_cleanup_(account_freep) Account *account = calloc(1, sizeof(*account));

	if (!account)
		return -ENOMEM;
	account->conversation.conv = no_conversation;
	account->last = pam_start("creel", user, &account->conversation, &account->handle);
	if (account->last != PAM_SUCCESS)
		return account->last == PAM_BUF_ERR ? -ENOMEM : -EIO;
	if (pam_set_item(account->handle, PAM_TTY, "ssh") != PAM_SUCCESS)
		return -ENOMEM;
	*ret = TAKE_PTR(account);
	return 0;
}

Account *account_free(Account *account)
{
	if (account) {
		if (account->handle)
			(void)pam_end(account->handle, account->last);
		free(account);
	}
	return NULL;
}

int account_check(Account *account, const char *peer_address, const char **ret_reason)
{
	if (pam_set_item(account->handle, PAM_RHOST, peer_address) != PAM_SUCCESS)
		return -ENOMEM;
	account->last = pam_acct_mgmt(account->handle, PAM_SILENT);
	if (account->last == PAM_SUCCESS)
		return 0;
	if (account->last == PAM_BUF_ERR)
		return -ENOMEM;
	*ret_reason = pam_strerror(account->handle, account->last);
	return 1;
}
