/* SPDX-License-Identifier: MIT */
#include "shell/collect/digest.h"
#include "shell/base/rate.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

#define PIECE (128 * 1024)

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

/* As many bytes as there were, and none behind them. */
static int add_all(EVP_MD_CTX *context, int fd, uint64_t bytes, uint64_t deadline_usec)
{
	static char piece[PIECE];

	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return bytes ? 1 : 0;
		if ((uint64_t)n > bytes)
			return 1;
		bytes -= (uint64_t)n;
		if (EVP_DigestUpdate(context, piece, (size_t)n) != 1)
			return -ENOMEM;
		if (clock_monotonic_usec() > deadline_usec)
			return -ETIME;
	}
}

int digest_file(int fd, const struct stat *st, uint64_t deadline_usec, uint8_t ret[static LISTING_DIGEST])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	struct stat after;
	int r = -ENOMEM;

	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		r = add_all(context, fd, (uint64_t)st->st_size, deadline_usec);
	if (!r && EVP_DigestFinal_ex(context, digest, NULL) != 1)
		r = -ENOMEM;
	EVP_MD_CTX_free(context);
	if (r)
		return r;
	if (fstat(fd, &after) < 0)
		return -errno;
	if (!is_same(st, &after))
		return 1;
	memcpy(ret, digest, LISTING_DIGEST);
	return 0;
}
