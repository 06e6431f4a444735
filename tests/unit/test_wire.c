/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "sshd-sub/wire.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static uint8_t payload[WIRE_PAYLOAD_MAX + 1];

static void open_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void close_pair(const int pair[2])
{
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void test_fields_come_back(void **state)
{
	uint8_t buffer[64], bytes[] = { 0, 1, 2, 0 };
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	WireReader reader;
	size_t n;

	wire_put_u32(&writer, 7);
	wire_put_string(&writer, "name");
	wire_put_bytes(&writer, bytes, sizeof(bytes));
	wire_put_string(&writer, "");
	assert_false(writer.failed);

	reader = (WireReader){ .at = buffer, .left = writer.used };
	assert_int_equal(wire_get_u32(&reader), 7);
	assert_string_equal(wire_get_string(&reader, 4), "name");
	assert_memory_equal(wire_get_bytes(&reader, 4, &n), bytes, sizeof(bytes));
	assert_int_equal(n, sizeof(bytes));
	assert_string_equal(wire_get_string(&reader, 0), "");
	assert_true(wire_done(&reader));
}

static void test_writer_keeps_to_its_room(void **state)
{
	uint8_t buffer[16];
	WireWriter writer = { .data = buffer, .room = 9 };

	wire_put_string(&writer, "four"); /* 4 + 4 + 1 */
	assert_false(writer.failed);
	wire_put_string(&writer, "");
	assert_true(writer.failed);
	assert_int_equal(writer.used, 9);
	wire_put_u32(&writer, 1);
	assert_int_equal(writer.used, 9);
}

static const struct {
	const char *what;
	uint8_t data[16];
	size_t n, max;
} bad_strings[] = {
	{ "no length", { 0 }, 3, 8 },
	{ "longer than the payload", { 9, 0, 0, 0, 'a', 0 }, 6, 16 },
	{ "no room for the NUL", { 1, 0, 0, 0, 'a' }, 5, 16 },
	{ "no NUL behind", { 1, 0, 0, 0, 'a', 'b' }, 6, 16 },
	{ "longer than allowed", { 2, 0, 0, 0, 'a', 'b', 0 }, 7, 1 },
	{ "a NUL inside", { 2, 0, 0, 0, 'a', 0, 0 }, 7, 16 },
	{ "length of 4 GB", { 0xff, 0xff, 0xff, 0xff, 'a', 0 }, 6, 16 },
};

static void test_bad_strings(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(bad_strings); i++) {
		WireReader reader = { .at = bad_strings[i].data, .left = bad_strings[i].n };

		assert_string_equal(wire_get_string(&reader, bad_strings[i].max), "");
		if (!reader.failed)
			fail_msg("%s", bad_strings[i].what);
		assert_int_equal(wire_get_u32(&reader), 0);
		assert_false(wire_done(&reader));
	}
}

static void test_what_is_left_over_is_no_good(void **state)
{
	uint8_t data[5] = { 1 };
	WireReader reader = { .at = data, .left = sizeof(data) };

	assert_int_equal(wire_get_u32(&reader), 1);
	assert_false(wire_done(&reader));
}

static void test_message_with_descriptors(void **state)
{
	WireHeader header = { .type = WIRE_STARTED, .number = 5, .length = 3 }, got;
	int pair[2], sent[3], fds[WIRE_FDS_MAX];
	size_t n_fds;

	open_pair(pair);
	for (size_t i = 0; i < 3; i++)
		sent[i] = pair[0];
	assert_int_equal(wire_send(pair[0], &header, "abc", sent, 3, 0), 0);
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), 1);
	assert_int_equal(got.type, WIRE_STARTED);
	assert_int_equal(got.number, 5);
	assert_string_equal((const char *)payload, "abc");
	assert_int_equal(n_fds, 3);
	for (size_t i = 0; i < n_fds; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		fd_close(fds[i]);
	}
	close_pair(pair);
}

static void test_largest_message(void **state)
{
	static uint8_t big[WIRE_PAYLOAD_MAX];
	WireHeader header = { .type = WIRE_START, .length = sizeof(big) }, got;
	int pair[2], fds[WIRE_FDS_MAX];
	size_t n_fds;

	open_pair(pair);
	memset(big, 'x', sizeof(big));
	assert_int_equal(wire_send(pair[0], &header, big, NULL, 0, 0), 0);
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), 1);
	assert_memory_equal(payload, big, sizeof(big));
	header.length++;
	assert_int_equal(wire_send(pair[0], &header, big, NULL, 0, 0), -EINVAL);
	close_pair(pair);
}

static void test_bad_messages(void **state)
{
	WireHeader lies = { .type = WIRE_BYE, .length = 100 }, got;
	int pair[2], many[8], fds[WIRE_FDS_MAX];
	union {
		char bytes[CMSG_SPACE(sizeof(many))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { .iov_base = &(WireHeader){ .type = WIRE_BYE }, .iov_len = sizeof(WireHeader) };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	size_t n_fds;
	int next;

	open_pair(pair);
	assert_int_equal(send(pair[0], "short", 5, 0), 5);
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), -EBADMSG);
	assert_int_equal(send(pair[0], &lies, sizeof(lies), 0), sizeof(lies));
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), -EBADMSG);

	/* too many descriptors: refused, and none of them stays open */
	for (size_t i = 0; i < ELEMENTSOF(many); i++)
		many[i] = pair[0];
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(many));
	memcpy(CMSG_DATA(c), many, sizeof(many));
	assert_true(sendmsg(pair[0], &message, 0) > 0);
	next = dup(pair[0]);
	fd_close(next);
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), -EBADMSG);
	assert_int_equal(dup(pair[0]), next);
	fd_close(next);

	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, MSG_DONTWAIT), -EAGAIN);
	pair[0] = fd_close(pair[0]);
	assert_int_equal(wire_receive(pair[1], &got, payload, fds, &n_fds, 0), 0);
	close_pair(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_come_back),
		cmocka_unit_test(test_writer_keeps_to_its_room),
		cmocka_unit_test(test_bad_strings),
		cmocka_unit_test(test_what_is_left_over_is_no_good),
		cmocka_unit_test(test_message_with_descriptors),
		cmocka_unit_test(test_largest_message),
		cmocka_unit_test(test_bad_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
