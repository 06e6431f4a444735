/* SPDX-License-Identifier: MIT */
/*
 * A link with a delay, for measurements: every packet comes back after so many microseconds, from whom it was sent to.
 *
 *   delay-link MICROSECONDS
 *
 * It makes a TUN interface with the address 10.77.0.1/24 and swaps source and destination of each IPv4 packet (both
 * checksums are sums, so they stay right). Who connects to 10.77.0.2 so reaches 10.77.0.1, this machine, and both ends are
 * real TCP: Nagle, delayed ACKs and windows behave as they do between far machines, which a proxy of streams would hide.
 * Writes "ready" and a newline when the link is up. Needs CAP_NET_ADMIN in its network namespace, which should be its own.
 */
#include "shell/base/cleanup.h"
#include "shell/base/log.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ADDRESS "10.77.0.1"
#define NETMASK "255.255.255.0"
#define MTU 9000
#define QUEUE_LENGTH 20000 /* packets that the kernel keeps for us: none may be lost because we were not scheduled */
#define DELAY_MAX_USEC 1000000U
#define IPV4_HEADER_SIZE 20U
#define IPV4_SOURCE_AT 12U

typedef struct Packet {
	struct Packet *next;
	uint64_t due_usec; /* CLOCK_MONOTONIC */
	size_t n;
	uint8_t data[];
} Packet;

static int link_set(int socket_fd, unsigned long request, struct ifreq *interface, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
		return -EINVAL;
	memcpy(&interface->ifr_addr, &in, sizeof(in));
	return ioctl(socket_fd, request, interface) < 0 ? -errno : 0;
}

static int link_open(void)
{
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	_cleanup_close_ int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq interface = { .ifr_name = "delay0" };
	int r;

	if (fd < 0 || socket_fd < 0)
		return -errno;
	interface.ifr_flags = IFF_TUN | IFF_NO_PI;
	if (ioctl(fd, TUNSETIFF, &interface) < 0)
		return -errno;
	interface.ifr_mtu = MTU;
	if (ioctl(socket_fd, SIOCSIFMTU, &interface) < 0)
		return -errno;
	interface.ifr_qlen = QUEUE_LENGTH;
	if (ioctl(socket_fd, SIOCSIFTXQLEN, &interface) < 0)
		return -errno;
	r = link_set(socket_fd, SIOCSIFADDR, &interface, ADDRESS);
	if (r >= 0)
		r = link_set(socket_fd, SIOCSIFNETMASK, &interface, NETMASK);
	if (r < 0)
		return r;
	interface.ifr_flags = IFF_UP | IFF_RUNNING;
	return ioctl(socket_fd, SIOCSIFFLAGS, &interface) < 0 ? -errno : TAKE_FD(fd);
}

static void packet_turn_round(Packet *packet)
{
	uint8_t *source = packet->data + IPV4_SOURCE_AT, *destination = source + 4, kept[4];

	memcpy(kept, source, sizeof(kept));
	memcpy(source, destination, sizeof(kept));
	memcpy(destination, kept, sizeof(kept));
}

/* Returns 1, 0 when there is none, or a negative errno. */
static int packet_read(int fd, uint64_t delay_usec, Packet **ret)
{
	_cleanup_free_ Packet *packet = malloc(sizeof(*packet) + MTU);
	ssize_t n;

	if (!packet)
		return -ENOMEM;
	n = read(fd, packet->data, MTU);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	packet->next = NULL;
	packet->due_usec = clock_monotonic_usec() + delay_usec;
	packet->n = (size_t)n;
	*ret = TAKE_PTR(packet);
	return 1;
}

static bool packet_is_ipv4(const Packet *packet)
{
	return packet->n >= IPV4_HEADER_SIZE && packet->data[0] >> 4 == 4;
}

static int serve(int fd, uint64_t delay_usec)
{
	Packet *first = NULL, **end = &first;

	for (;;) {
		struct pollfd polled = { .fd = fd, .events = POLLIN };
		struct timespec wait = { 0 };
		Packet *packet = NULL;
		int r;

		if (first) {
			uint64_t now_usec = clock_monotonic_usec();
			uint64_t left_usec = first->due_usec > now_usec ? first->due_usec - now_usec : 0;

			wait.tv_sec = (time_t)(left_usec / 1000000U);
			wait.tv_nsec = (long)(left_usec % 1000000U) * 1000;
		}
		if (ppoll(&polled, 1, first ? &wait : NULL, NULL) < 0 && errno != EINTR)
			return -errno;
		while ((r = packet_read(fd, delay_usec, &packet)) > 0) {
			if (!packet_is_ipv4(packet)) { /* the kernel's own IPv6 chatter */
				free(packet);
				continue;
			}
			packet_turn_round(packet);
			*end = packet;
			end = &packet->next;
		}
		if (r < 0)
			return r;
		while (first && first->due_usec <= clock_monotonic_usec()) {
			packet = first;
			if (write(fd, packet->data, packet->n) < 0)
				return -errno;
			first = packet->next;
			if (!first)
				end = &first;
			free(packet);
		}
	}
}

int main(int argc, char *argv[])
{
	_cleanup_close_ int fd = -EBADF;
	uint64_t delay_usec;
	int r;

	log_open("delay-link");
	if (argc != 2 || str_to_u64(argv[1], DELAY_MAX_USEC, &delay_usec) < 0) {
		(void)fprintf(stderr, "usage: delay-link MICROSECONDS\n");
		return 2;
	}
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); /* 50 us more would be a measurable part of the delay */
	r = link_open();
	if (r >= 0) {
		fd = r;
		(void)puts("ready");
		(void)fflush(stdout);
		r = serve(fd, delay_usec);
	}
	log_error("%s", strerror(-r));
	return 1;
}
