/* SPDX-License-Identifier: MIT */
/*
 * Unit files as people write them, and what servers and the kernel answer. A text that counts as written by creel service create is what is
 * written again; a change asked for is there when the text is read once more.
 */
#include "shell/jobs/address.h"
#include "shell/jobs/probe.h"
#include "shell/jobs/service-spec.h"

#include <net/if.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void check_change(const char *text)
{
	static const ServiceChange change = { .port = true, .restart = true, .mark = true };
	_cleanup_spec_ ServiceSpec spec = { .port = 4321, .restart = "always" }, back = { 0 };
	_cleanup_free_ char *changed = service_spec_change(text, &spec, &change);
	bool own, edited;

	expect(changed && strlen(changed) > strlen(SERVICE_MARK));
	expect(service_spec_read(changed, "x", &back, &own, &edited) == 0 && own);
	expect(strcmp(back.restart, "always") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	_cleanup_free_ char *text = strndup((const char *)data, n);
	_cleanup_spec_ ServiceSpec spec = { 0 };
	char interface[IFNAMSIZ] = "";
	bool own, edited;
	int status;

	if (!text)
		return 0;
	expect(service_spec_read(text, "x", &spec, &own, &edited) == 0);
	if (!edited) {
		_cleanup_free_ char *again = service_spec_text(&spec, "x");

		expect(own && again && strcmp(again, text) == 0);
	}
	check_change(text);
	if (address_route4(text, interface, sizeof(interface)) || address_route6(text, interface, sizeof(interface)))
		expect(*interface && strlen(interface) < IFNAMSIZ);
	status = probe_status((const char *)data, n);
	expect(status == -EBADMSG || status == 0 || (status >= 100 && status < 600));
	(void)probe_path_valid(text);
	return 0;
}
