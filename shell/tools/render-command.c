/* SPDX-License-Identifier: MIT */
/* creel render: a result as a message of a channel, for creel(1). Reads and writes as who calls it. */
#include "shell/base/file.h"
#include "shell/tools/commands.h"
#include "shell/tools/render-result.h"

#include <fcntl.h>
#include <getopt.h>
#include <string.h>

static const char usage_text[] =
	"usage: creel render --channel discord|telegram|slack|whatsapp|plain [--code FILE [--lang LANGUAGE]]\n"
	"                    [--full FILE] [FILE|-]\n";

typedef struct Order {
	const RenderChannel *channel;
	const char *code, *language, *full, *input;
} Order;

static int fail(const char *what, const char *why)
{
	(void)fprintf(stderr, "creel: render: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

static int usage(void)
{
	(void)fputs(usage_text, stderr);
	return EXIT_USAGE;
}

static bool order_option(Order *order, int option, const char *value)
{
	switch (option) {
	case 'c':
		order->channel = render_channel(value);
		return order->channel;
	case 'l':
		order->language = value;
		return render_language_valid(value);
	case 'x':
		order->code = value;
		return true;
	case 'f':
		order->full = value;
		return true;
	default:
		return false;
	}
}

static bool order_read(int argc, char **argv, Order *ret)
{
	static const struct option options[] = { { "channel", required_argument, NULL, 'c' },
		{ "lang", required_argument, NULL, 'l' }, { "code", required_argument, NULL, 'x' },
		{ "full", required_argument, NULL, 'f' }, { 0 } };
	Order order = { .input = "-" };

	/* getopt_long() takes argv[0] for the program's name: the word before these */
	optind = 0;
	for (int option; (option = getopt_long(argc + 1, argv - 1, "", options, NULL)) != -1;)
		if (!order_option(&order, option, optarg))
			return false;
	argc = argc + 1 - optind;
	argv = argv - 1 + optind;
	if (argc > 1 || !order.channel || (order.language && !order.code))
		return false;
	if (argc)
		order.input = argv[0];
	*ret = order;
	return true;
}

static int read_input(const char *path, char **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(path, "-") == 0)
		return file_read_fd(STDIN_FILENO, JSONTEXT_BYTES_MAX, ret, ret_n);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	return file_read_fd(fd, JSONTEXT_BYTES_MAX, ret, ret_n);
}

/* As the program wrote it: a file is not read by a messenger. */
static int write_full(const char *path, const RenderRequest *request)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
	_cleanup_fclose_ FILE *file = NULL;

	if (fd < 0)
		return -errno;
	file = fdopen(fd, "w");
	if (!file) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	(void)fwrite(request->stdout_text.s, 1, request->stdout_text.n, file);
	if (request->stderr_text.n) {
		(void)fputs("\n--- stderr ---\n", file);
		(void)fwrite(request->stderr_text.s, 1, request->stderr_text.n, file);
	}
	return fflush(file) == 0 && !ferror(file) ? 0 : -EIO;
}

static int print(const Order *order, RenderRequest *request)
{
	bool shortened = false;
	int r;

	request->full_file = order->full;
	r = render(order->channel, request, stdout, &shortened);
	if (r < 0)
		return fail("message", strerror(-r));
	if (fputc('\n', stdout) == EOF || fflush(stdout) != 0)
		return fail("output", strerror(errno));
	/* not where the result's own file has more than this one could have */
	if (!order->full || !shortened || request->stdout_file || request->stderr_file)
		return EXIT_SUCCESS;
	r = write_full(order->full, request);
	return r < 0 ? fail(order->full, strerror(-r)) : EXIT_SUCCESS;
}

int render_main(int argc, char **argv)
{
	_cleanup_(render_result_done) RenderResult result = { 0 };
	_cleanup_free_ char *text = NULL, *code = NULL;
	size_t n = 0, code_n = 0;
	char why[256];
	Order order;
	int r;

	if (!order_read(argc, argv, &order))
		return usage();
	r = read_input(order.input, &text, &n);
	if (r < 0)
		return fail(order.input, strerror(-r));
	if (order.code) {
		r = read_input(order.code, &code, &code_n);
		if (r < 0)
			return fail(order.code, strerror(-r));
	}
	r = render_result_read(text, n, &result, why, sizeof(why));
	if (r < 0)
		return fail(order.input, r == -EINVAL ? why : strerror(-r));
	if (code)
		result.request.code = (RenderText){ code, code_n };
	result.request.language = order.language;
	return print(&order, &result.request);
}
