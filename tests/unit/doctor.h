/* SPDX-License-Identifier: MIT */
/*
 * A made-up machine for the tests of creelctl doctor's checks: files below a folder of each test's own. What needs a running
 * machine is in tests/vm.
 */
#pragma once

#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/operator/doctor.h"

#include <sys/stat.h>

#define UID 1234U
#define KEY_PUBLIC "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFAxRb2KxYH6EJGmdDN0EF5kpcRDHGfQ1dCdhEIvTEJz"

/* The folder, while a test runs. */
extern char root[64];

int make_root(void **state);
int remove_root(void **state);

/* A path below the folder, in new memory. */
char *path_of(const char *below);
/* The folder with that mode, and those above it. */
void make_folders(const char *path, mode_t mode);
/* A file, made anew, with the folders above it. */
void put(const char *path, const char *text, mode_t mode);

/* All tables of checks; NULL at the end. */
extern const DoctorCheck *const doctor_tables[];
Finding run(const char *id, const DoctorAgent *agent);

#define assert_finding(id, agent, wanted, words)                                 \
	do {                                                                     \
		Finding found_ = run(id, agent);                                 \
		if (found_.state != (wanted) || !strstr(found_.detail, words))   \
			fail_msg("%s: %d, %s", id, found_.state, found_.detail); \
	} while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
