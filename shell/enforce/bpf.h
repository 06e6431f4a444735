/* SPDX-License-Identifier: MIT */
/*
 * A set of programs in the kernel, with its maps, kept alive by files below /sys/fs/bpf/creel.
 *
 * The folder NAME-HASH holds one file for each attached program and `map_NAME` for each map; HASH is of the programs as they
 * were compiled. While they are the same, a run finds the folder and changes maps only. Otherwise a new set is made beside the
 * old one, and takes its place when it is complete: both enforce meanwhile, so there is no gap, and what either
 * refuses is refused. NAME is a symbolic link to the folder in force. The folder `new-NAME` is one in the making; whoever dies over it leaves it to the next run.
 */
#pragma once

#include "shell/enforce/enforce.h"

#define BPF_FOLDER "/sys/fs/bpf/creel"

struct bpf_object;

typedef struct BpfProgram {
	const char *name;
	bool cgroup; /* attached to the root of the cgroup tree; else where its section's name says */
	bool lsm;    /* needs the kernel's BPF LSM */
} BpfProgram;

typedef struct BpfSource {
	const char *name;
	const unsigned char *object, *object_end; /* an ELF file of clang's */
	const BpfProgram *programs;               /* in the order in which they are attached; ends with no name */
	const char *const *maps;                  /* those that are pinned; ends with NULL */
} BpfSource;

typedef struct BpfSet {
	const BpfSource *source;
	char folder[128];          /* where its files are now */
	bool fresh;                /* in the making */
	struct bpf_object *object; /* of one in the making */
} BpfSet;

void bpf_set_done(BpfSet *set);

/*
 * Finds the set in force (`fresh` false), or loads a new one, with its maps pinned and nothing attached yet. Programs that
 * `without_lsm` rules out are left out. Returns 0 or a negative errno with `ret_reason` filled.
 */
_must_check_ int bpf_set_open(const BpfSource *source, bool without_lsm, BpfSet *ret, EnforceReason *ret_reason);

/* Of a fresh set: attaches and pins everything, in order. */
_must_check_ int bpf_set_attach(BpfSet *set, EnforceReason *ret_reason);

/* Of a fresh set: pins program `name`, an iterator, over `map_name` (NULL: over what its section says). */
_must_check_ int bpf_set_pin_iterator(BpfSet *set, const char *name, const char *map_name, EnforceReason *ret_reason);

/* A fresh one takes the place of older ones; then the files of its programs are added to `pins`. */
_must_check_ int bpf_set_commit(BpfSet *set, StrList *pins, EnforceReason *ret_reason);

/* The pinned map `name`: a descriptor, or a negative errno. */
_must_check_ int bpf_set_map(const BpfSet *set, const char *name);

/* Reads the pinned iterator `name` to its end. */
_must_check_ int bpf_set_read(const BpfSet *set, const char *name);

/*
 * Makes the entry what it shall be. What was replaced is freed before this returns, so that no program that still looks at
 * it finds another agent's entry there. Returns 1 when it changed, 0 when not, or a negative errno.
 */
_must_check_ int bpf_map_put(int map_fd, const void *key, size_t key_n, const void *value, size_t value_n);

/* As many as a map of agents may have; `uids` gets the keys of all entries. Returns the number or a negative errno. */
_must_check_ int bpf_map_keys32(int map_fd, uint32_t *uids, size_t max);
_must_check_ int bpf_map_keys64(int map_fd, uint64_t *uids, size_t max);

/*
 * Makes the keys of a map the uids of agents, and of nobody else. `value` writes an agent's entry, of `size` bytes, into `buffer`.
 * Returns 0 or a negative errno.
 */
typedef void (*EnforceAgentsValue)(const EnforceAgent *agent, void *buffer);
_must_check_ int enforce_agents_fill(
	int map_fd, const EnforceAgents *agents, EnforceAgentsValue value, void *buffer, size_t size);

/* A map of a set with one entry for each agent, whose key is its uid. */
typedef struct EnforceMap {
	const char *name, *holds; /* holds: what a reason calls it */
	EnforceAgentsValue value; /* as of enforce_agents_fill(), with what follows */
	void *buffer;
	size_t size;
} EnforceMap;

/*
 * Brings a set about, with its map filled before anything is attached. `without_lsm` as of bpf_set_open(). Returns 0, or a
 * negative errno with its reason; then `ret_set` is untouched.
 */
_must_check_ int enforce_agents_apply(const BpfSource *source, bool without_lsm, const EnforceMap *map,
	EnforceAgents *agents, BpfSet *ret_set, EnforceReason *ret_reason);

/*
 * A set whose programs all need the BPF LSM, and hold for whose uid is in its map `confined`, with `value`: brings it about.
 * Returns 0, or a negative errno with its reason; then `ret_set` is untouched.
 */
_must_check_ int enforce_agents_confine(
	const BpfSource *source, EnforceAgents *agents, uint32_t value, BpfSet *ret_set, EnforceReason *ret_reason);

/* The ELF file PATH, found in CREEL_BPF_DIR when this is compiled, as the bytes between SYMBOL and SYMBOL_end. */
#define BPF_OBJECT(symbol, path)                                                         \
	extern const unsigned char symbol[] __attribute__((visibility("hidden")));       \
	extern const unsigned char symbol##_end[] __attribute__((visibility("hidden"))); \
	__asm__(".pushsection .rodata\n"                                                 \
		".balign 16\n"                                                           \
		".global " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"               \
		".incbin \"" CREEL_BPF_DIR "/" path "\"\n"                               \
		".global " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"   \
		".byte 0\n"                                                              \
		".popsection\n")
