/* SPDX-License-Identifier: MIT */
/* The doors: the front's key and port, the operator's port, the accounts, the clock that expiry dates are judged by. */
#include "shell/operator/doctor.h"
#include "shell/base/base64.h"
#include "shell/base/rate.h"
#include "shell/bus/bus.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timex.h>

#define FRONT_BANNER "SSH-2.0-creel" /* sshd-sub/offer.c */
#define HOST_KEY POLICY_DIR "/ssh_host_ed25519_key"
#define KEY_HEAD "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define KEY_TAIL "-----END OPENSSH PRIVATE KEY-----"
#define KEY_MAGIC "openssh-key-v1" /* with its NUL: openssh's PROTOCOL.key */

/* ---- the host key ---- */

static bool take_blob(const uint8_t **at, size_t *left, const uint8_t **ret, size_t *ret_n)
{
	uint32_t n;

	if (*left < sizeof(n))
		return false;
	(void)memcpy(&n, *at, sizeof(n));
	n = be32toh(n);
	if (n > *left - sizeof(n))
		return false;
	*ret = *at + sizeof(n);
	*ret_n = n;
	*at += sizeof(n) + n;
	*left -= sizeof(n) + n;
	return true;
}

/*
 * The public half inside an OpenSSH private key file, which must not be encrypted: nobody is there to type. Points into
 * `data`, which has room for BASE64_DECODED_MAX(strlen(text)).
 */
static bool parse_private(const char *text, uint8_t *data, const uint8_t **ret, size_t *ret_n)
{
	const char *end = strstr(text, KEY_TAIL);
	const uint8_t *at, *cipher, *ignored;
	size_t left, n;

	if (strncmp(text, KEY_HEAD, strlen(KEY_HEAD)) != 0 || !end)
		return false;
	text += strlen(KEY_HEAD);
	if (base64_decode(text, (size_t)(end - text), true, data, &left) < 0)
		return false;
	at = data;
	if (left < sizeof(KEY_MAGIC) || memcmp(at, KEY_MAGIC, sizeof(KEY_MAGIC)) != 0)
		return false;
	at += sizeof(KEY_MAGIC);
	left -= sizeof(KEY_MAGIC);
	if (!take_blob(&at, &left, &cipher, &n) || n != 4 || memcmp(cipher, "none", 4) != 0 ||
		!take_blob(&at, &left, &ignored, &n) || !take_blob(&at, &left, &ignored, &n) || left < 4)
		return false;
	at += 4; /* number of keys */
	left -= 4;
	return take_blob(&at, &left, ret, ret_n);
}

static void check_host_key(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const uint8_t type[] = "\0\0\0\013ssh-ed25519";
	_cleanup_free_ char *text = NULL, *public_text = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	const uint8_t *blob = NULL;
	const char *line;
	struct stat st;
	size_t n = 0;
	int r;

	r = look_stat(doctor, HOST_KEY, &st);
	if (r < 0)
		return finding_error(ret, r, HOST_KEY);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0177) || st.st_uid != 0)
		return finding_set(ret, DOCTOR_MISSING, "%s: mode %04o, owner %u: others may have read it", HOST_KEY,
			st.st_mode & 07777, st.st_uid);
	r = look_read(doctor, HOST_KEY, 64U * 1024, &text);
	if (r < 0)
		return finding_error(ret, r, HOST_KEY);
	data = malloc(BASE64_DECODED_MAX(strlen(text)) + 1);
	if (!data || !parse_private(text, data, &blob, &n) || n < sizeof(type) - 1 ||
		memcmp(blob, type, sizeof(type) - 1) != 0)
		r = -EBADMSG;
	if (r == 0)
		r = look_read(doctor, HOST_KEY ".pub", 4096, &public_text) < 0 ? -ENOKEY : 0;
	line = public_text;
	if (r == 0 && (strncmp(line, "ssh-ed25519 ", 12) != 0 ||
			      !base64_equals(line + 12, strcspn(line + 12, " \n"), blob, n)))
		r = -ENOKEY;
	if (data)
		explicit_bzero(data, BASE64_DECODED_MAX(strlen(text)));
	explicit_bzero(text, strlen(text));
	if (r == -EBADMSG)
		return finding_set(ret, DOCTOR_MISSING, "%s is no plain ed25519 key of OpenSSH's", HOST_KEY);
	if (r < 0) {
		finding_remedy(ret, "ssh-keygen -y -f %s > %s.pub", HOST_KEY, HOST_KEY);
		return finding_set(ret, DOCTOR_DEGRADED, "%s.pub is not its public half", HOST_KEY);
	}
	finding_set(ret, DOCTOR_OK, "ed25519, root's alone");
}

/* ---- who answers ---- */

/* Waits for one event, until `end_usec` (CLOCK_MONOTONIC). */
static int wait_event(int fd, short events, uint64_t end_usec)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = events };
		uint64_t now = clock_monotonic_usec();
		int r;

		if (now >= end_usec)
			return -ETIMEDOUT;
		r = poll(&poll_fd, 1, (int)((end_usec - now) / 1000) + 1);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

/* The first line of whoever listens on loopback. Returns 0 or a negative errno. */
static int read_banner(uint16_t port, char *buffer, size_t size)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	uint64_t end = clock_monotonic_usec() + DOCTOR_PATIENCE * UINT64_C(1000000);
	int error = 0, r = 0;
	socklen_t length = sizeof(error);
	size_t n = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS)
		return -errno;
	r = wait_event(fd, POLLOUT, end);
	if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		return -errno;
	if (r == 0)
		r = -error;
	while (r == 0 && n < size - 1 && (!n || buffer[n - 1] != '\n')) {
		ssize_t k;

		r = wait_event(fd, POLLIN, end);
		if (r < 0)
			break;
		k = read(fd, buffer + n, 1);
		if (k == 0)
			return -ECONNRESET;
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		n += k > 0;
	}
	buffer[n] = '\0';
	buffer[strcspn(buffer, "\r\n")] = '\0';
	return r;
}

static void check_front(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	char banner[128] = "";
	int r = read_banner(22, banner, sizeof(banner));

	if (r < 0)
		return finding_set(ret, DOCTOR_MISSING, "port 22 does not answer: %s", strerror(-r));
	if (strcmp(banner, FRONT_BANNER) != 0)
		return finding_set(ret, DOCTOR_MISSING, "port 22 is not creel-sshd's: %s", banner);
	finding_set(ret, DOCTOR_OK, "port 22: %s", banner);
}

static void check_operator(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	uint16_t port = doctor->defaults ? doctor->defaults->operator_port : 2222;
	char banner[128] = "";
	int r = read_banner(port, banner, sizeof(banner));

	if (r < 0)
		return finding_set(
			ret, DOCTOR_MISSING, "port %u ([front] operator_port) does not answer: %s", port, strerror(-r));
	if (strncmp(banner, "SSH-", 4) != 0)
		return finding_set(ret, DOCTOR_MISSING, "port %u is no SSH server's: %s", port, banner);
	finding_set(ret, DOCTOR_OK, "port %u: %s", port, banner);
}

/* Who connects sees the address of the port, not only loopback's: both versions of IP must be listened on. */
static void check_listens(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *four = NULL, *six = NULL;
	bool any_four, any_six;
	int r = look_read(doctor, "/proc/net/tcp", 16U << 20, &four);

	if (r < 0)
		return finding_error(ret, r, "/proc/net/tcp");
	r = look_read(doctor, "/proc/net/tcp6", 16U << 20, &six);
	/* address:port in hexadecimal, whatever peer, state 0A is LISTEN; a wildcard of IPv6 serves both */
	any_four = strstr(four, " 00000000:0016 00000000:0000 0A ") != NULL;
	any_six = r == 0 &&
		  strstr(six, " 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A ");
	if (!any_six && !any_four)
		return finding_set(ret, DOCTOR_DEGRADED, "port 22 is not open on all addresses");
	if (!any_six && r == 0)
		return finding_set(ret, DOCTOR_DEGRADED, "port 22 is open on IPv4 alone");
	finding_set(ret, DOCTOR_OK, any_six ? "all addresses, both versions of IP" : "all addresses of IPv4");
}

/* ---- accounts and PAM ---- */

static void check_account(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *path = str_format("%s/etc/passwd", doctor->root);
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	const struct passwd *entry;

	if (!file)
		return finding_error(ret, path ? -errno : -ENOMEM, "/etc/passwd");
	while ((entry = fgetpwent(file))) {
		if (strcmp(entry->pw_name, FRONT_USER) != 0)
			continue;
		if (entry->pw_uid == 0 || entry->pw_uid >= 1000)
			return finding_set(ret, DOCTOR_MISSING, "user %s has uid %u", FRONT_USER, entry->pw_uid);
		if (strcmp(entry->pw_shell, "/usr/sbin/nologin") != 0 && strcmp(entry->pw_shell, "/bin/false") != 0)
			return finding_set(
				ret, DOCTOR_DEGRADED, "user %s has a shell: %.100s", FRONT_USER, entry->pw_shell);
		return finding_set(ret, DOCTOR_OK, "uid %u, no shell", entry->pw_uid);
	}
	finding_set(ret, DOCTOR_MISSING, "there is no user %s", FRONT_USER);
}

/* True when some line is of that kind and names that module, as required or requisite. */
static bool pam_requires(const char *text, const char *kind, const char *module)
{
	const char *line = text;

	while (line) {
		char first[32] = "", second[32] = "", third[128] = "";

		if (sscanf(line, " %31[^ \t\n] %31[^ \t\n] %127[^ \t\n]", first, second, third) == 3 &&
			strcmp(first, kind) == 0 && strcmp(third, module) == 0 &&
			(strcmp(second, "required") == 0 || strcmp(second, "requisite") == 0))
			return true;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

static void check_pam(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const struct {
		const char *file, *kind, *module;
	} wanted[] = {
		{ "/etc/pam.d/creel", "account", "pam_unix.so" },
		{ "/etc/pam.d/creel", "account", "pam_nologin.so" },
	};

	for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
		_cleanup_free_ char *text = NULL;
		int r = look_read(doctor, wanted[i].file, 64U * 1024, &text);

		if (r < 0)
			return finding_error(ret, r, wanted[i].file);
		if (!pam_requires(text, wanted[i].kind, wanted[i].module))
			return finding_set(ret, DOCTOR_DEGRADED, "%s does not require %s for `%s`", wanted[i].file,
				wanted[i].module, wanted[i].kind);
	}
	finding_set(ret, DOCTOR_OK, "locked and expired accounts are refused");
}

/* A line that is no comment, in both files that Debian's services include. */
static void check_sessions(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const files[] = { "/etc/pam.d/common-session", "/etc/pam.d/common-session-noninteractive" };

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		_cleanup_free_ char *text = NULL;
		bool has_line = false;
		int r = look_read(doctor, files[i], 64U * 1024, &text);

		if (r < 0)
			return finding_error(ret, r, files[i]);
		for (const char *line = text; line && !has_line;
			line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
			const char *module = strstr(line, "pam_creel.so"), *end = line + strcspn(line, "#\n");

			has_line = module && module < end;
		}
		if (!has_line)
			return finding_set(ret, DOCTOR_MISSING,
				"%s has no line for pam_creel.so: agents are refused there", files[i]);
	}
	finding_set(ret, DOCTOR_OK, "sessions of other services pass pam_creel.so");
}

/* Records carry its time, and keys and accounts expire by it. */
static void check_clock(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct timex clock = { 0 };

	if (adjtimex(&clock) < 0)
		return finding_error(ret, -errno, "adjtimex");
	if (clock.status & STA_UNSYNC)
		return finding_set(ret, DOCTOR_DEGRADED, "nobody keeps the clock: records and expiry dates go by it");
	finding_set(ret, DOCTOR_OK, "kept");
}

const DoctorCheck doctor_doors[] = {
	{ "doors.host_key", "the front's key is secret, and its public half is known",
		"run provision.sh again; if others read the key, remove it before, and tell clients the new one",
		NEEDS_ROOT, check_host_key },
	{ "doors.front", "port 22 is creel's",
		"systemctl restart creel-sshd.socket; who has the port: ss -Hltnp sport = :22", NEEDS_LIVE,
		check_front },
	{ "doors.addresses", "port 22 is open on all addresses", "systemctl revert creel-sshd.socket, and restart it",
		0, check_listens },
	{ "doors.operator", "the operator's port answers", "systemctl restart ssh.service; provision.sh sets its port",
		NEEDS_LIVE, check_operator },
	{ "doors.account", "the front has an account of its own",
		"systemd-sysusers; usermod -s /usr/sbin/nologin " FRONT_USER, 0, check_account },
	{ "doors.pam", "the account check is whole", "put the file of the installation back", 0, check_pam },
	{ "doors.sessions", "other services put agents under their limits", "pam-auth-update --package --enable creel",
		0, check_sessions },
	{ "doors.clock", "the clock is kept", "install systemd-timesyncd or chrony, and let it reach a server",
		NEEDS_LIVE, check_clock },
	{ NULL },
};
