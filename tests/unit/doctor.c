/* SPDX-License-Identifier: MIT */
#include "tests/unit/doctor.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>

char root[64];
static Doctor doctor;

const DoctorCheck *const doctor_tables[] = { doctor_kernel, doctor_units, doctor_files, doctor_doors, doctor_network,
	doctor_agent, doctor_enforced, doctor_agent_network, NULL };

int make_root(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/creel-doctor-XXXXXX");
	assert_non_null(mkdtemp(root));
	doctor = (Doctor){ .root = root, .is_root = geteuid() == 0 };
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int remove_root(void **state)
{
	return nftw(root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

char *path_of(const char *below)
{
	char *path = str_format("%s%s", root, below);

	assert_non_null(path);
	return path;
}

void make_folders(const char *path, mode_t mode)
{
	_cleanup_free_ char *full = path_of(path);

	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	assert_true(mkdir(full, mode) == 0 || errno == EEXIST);
	assert_int_equal(chmod(full, mode), 0);
}

void put(const char *path, const char *text, mode_t mode)
{
	_cleanup_free_ char *full = path_of(path), *folder = strdup(path);
	_cleanup_close_ int fd = -EBADF;
	char *slash;

	assert_non_null(folder);
	slash = strrchr(folder, '/');
	*slash = '\0';
	if (*folder) {
		_cleanup_free_ char *there = path_of(folder);

		if (access(there, F_OK) < 0)
			make_folders(folder, 0755);
	}
	(void)unlink(full);
	fd = open(full, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

Finding run(const char *id, const DoctorAgent *agent)
{
	Finding finding = { .state = DOCTOR_OK };

	for (size_t i = 0; doctor_tables[i]; i++)
		for (const DoctorCheck *check = doctor_tables[i]; check->id; check++)
			if (strcmp(check->id, id) == 0) {
				check->check(&doctor, agent, &finding);
				return finding;
			}
	fail_msg("there is no check %s", id);
	return finding;
}
