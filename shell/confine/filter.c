/* SPDX-License-Identifier: MIT */
/*
 * Why not libseccomp: it has one answer for a call whose arguments fit no rule (the filter's), and a socket of a refused
 * family must be EAFNOSUPPORT where a refused mount is EPERM; it has none for numbers above a newest one.
 *
 * A program is a search by halves for the span of numbers in which a call lies, because neighbours mostly have the same
 * answer. That matters when it is loaded: since Linux 5.11 the kernel then runs it for every number once, to learn which calls
 * are always allowed and need no run later. A list of comparisons cost 0.8 ms there, this a sixth of it.
 */
#include "shell/confine/filter.h"

#include <linux/audit.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#ifndef __x86_64__
#error "the tables of system calls are x86-64's"
#endif

#define X32_BIT 0x40000000U     /* <asm/unistd.h>: __X32_SYSCALL_BIT */
#define SKIPPED_CALL UINT32_MAX /* a tracer's way to skip a call: no call at all */
#define ROW_MAX (FILTER_CONDITIONS_MAX * 6 + 1)

typedef struct Code {
	struct sock_filter *program;
	size_t n;
} Code;

static void code_add(Code *code, uint16_t op, uint32_t k, uint8_t if_true, uint8_t if_false)
{
	code->program[code->n++] = (struct sock_filter){ .code = op, .k = k, .jt = if_true, .jf = if_false };
}

static void code_load(Code *code, size_t offset)
{
	code_add(code, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void code_return(Code *code, uint32_t action)
{
	code_add(code, BPF_RET | BPF_K, action, 0, 0);
}

/* One half of an argument; where it differs, the jump is filled in later (marked by jf = UINT8_MAX). */
static void code_compare(Code *code, size_t offset, uint32_t mask, uint32_t value)
{
	if (!mask)
		return;
	code_load(code, offset);
	if (mask != UINT32_MAX)
		code_add(code, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
	code_add(code, BPF_JMP | BPF_JEQ | BPF_K, value, 0, UINT8_MAX);
}

/* All conditions, then the action; a condition that does not hold leads behind the row. */
static void code_row(Code *code, const FilterRow *row)
{
	size_t start = code->n;

	for (size_t i = 0; i < FILTER_CONDITIONS_MAX; i++) {
		const FilterCondition *condition = &row->conditions[i];
		size_t low = offsetof(struct seccomp_data, args) + condition->index * sizeof(uint64_t);

		code_compare(code, low, (uint32_t)condition->mask, (uint32_t)condition->value);
		code_compare(code, low + sizeof(uint32_t), (uint32_t)(condition->mask >> 32),
			(uint32_t)(condition->value >> 32));
	}
	code_return(code, row->action);
	for (size_t i = start; i < code->n; i++)
		if (code->program[i].code == (BPF_JMP | BPF_JEQ | BPF_K))
			code->program[i].jf = (uint8_t)(code->n - i - 1);
}

static bool row_is_final(const FilterRow *row)
{
	for (size_t i = 0; i < FILTER_CONDITIONS_MAX; i++)
		if (row->conditions[i].mask)
			return false;
	return true;
}

/* What is known of a call by its number alone: one answer, or that its rows must be looked at. */
typedef struct Verdict {
	bool judged;
	uint32_t action;
} Verdict;

static Verdict verdict_of(const FilterTable *table, uint32_t call)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->rows[i].call == (int)call)
			return (Verdict){ !row_is_final(&table->rows[i]), table->rows[i].action };
	return (Verdict){ false, table->otherwise };
}

static void code_rows(Code *code, const FilterTable *table, uint32_t call)
{
	for (size_t i = 0; i < table->n; i++) {
		if (table->rows[i].call != (int)call)
			continue;
		code_row(code, &table->rows[i]);
		if (row_is_final(&table->rows[i]))
			return;
	}
	code_return(code, table->otherwise);
}

/* Numbers from `first` on, up to the next span, have the same verdict; of judged calls each is a span of its own. */
typedef struct Span {
	uint32_t first;
	Verdict verdict;
} Span;

/* The number is in the accumulator, and lies in one of the spans. */
static void code_search(Code *code, const FilterTable *table, const Span *spans, size_t n)
{
	size_t middle = n / 2, left;

	if (n == 1) {
		if (spans->verdict.judged)
			code_rows(code, table, spans->first);
		else
			code_return(code, spans->verdict.action);
		return;
	}
	/* the upper half stands first: a conditional jump reaches 255 instructions only, the other one all */
	code_add(code, BPF_JMP | BPF_JGE | BPF_K, spans[middle].first, 1, 0);
	left = code->n;
	code_add(code, BPF_JMP | BPF_JA, 0, 0, 0);
	code_search(code, table, spans + middle, n - middle);
	code->program[left].k = (uint32_t)(code->n - left - 1);
	code_search(code, table, spans, middle);
}

static uint32_t highest_call(const FilterTable *table)
{
	int highest = table->newest;

	for (size_t i = 0; i < table->n; i++)
		if (table->rows[i].call > highest)
			highest = table->rows[i].call;
	return (uint32_t)highest;
}

/* `spans` has room for one a number, and one more. Returns how many there are. */
static size_t spans_make(const FilterTable *table, uint32_t highest, Span *spans)
{
	size_t n = 0;

	for (uint32_t call = 0; call <= highest + 1; call++) {
		Verdict verdict = call <= highest ? verdict_of(table, call) : (Verdict){ false, table->otherwise };

		if (!n || verdict.judged || spans[n - 1].verdict.judged ||
			verdict.action != spans[n - 1].verdict.action)
			spans[n++] = (Span){ call, verdict };
	}
	return n;
}

static void code_start(Code *code, const FilterTable *table)
{
	code_load(code, offsetof(struct seccomp_data, arch));
	code_add(code, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	code_return(code, table->otherwise);
	code_load(code, offsetof(struct seccomp_data, nr));
	if (table->newest) {
		code_add(code, BPF_JMP | BPF_JEQ | BPF_K, SKIPPED_CALL, 0, 1);
		code_return(code, SECCOMP_RET_ALLOW);
	}
	code_add(code, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	code_return(code, table->otherwise);
	if (table->newest) {
		code_add(code, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)table->newest, 0, 1);
		code_return(code, SECCOMP_RET_ERRNO | ENOSYS);
	}
}

int filter_compile(const FilterTable *table, Filter *ret)
{
	_cleanup_free_ struct sock_filter *program = NULL;
	_cleanup_free_ Span *spans = NULL;
	uint32_t highest = highest_call(table);
	Code code = { 0 };

	spans = calloc((size_t)highest + 2, sizeof(*spans));
	program = calloc(table->n * (ROW_MAX + 1) + 3 * ((size_t)highest + 2) + 16, sizeof(*program));
	if (!program || !spans)
		return -ENOMEM;
	code.program = program;
	code_start(&code, table);
	code_search(&code, table, spans, spans_make(table, highest, spans));
	if (code.n > BPF_MAXINSNS)
		return -E2BIG;
	*ret = (Filter){ .program = TAKE_PTR(program), .n = (unsigned short)code.n };
	return 0;
}

int filter_prepare(const FilterRow *rows, size_t n, Filter *ret)
{
	const FilterTable table = { .rows = rows, .n = n, .otherwise = SECCOMP_RET_KILL_PROCESS };

	return filter_compile(&table, ret);
}

void filter_done(Filter *filter)
{
	free(filter->program);
	*filter = (Filter){ 0 };
}

int filter_apply(const Filter *filter)
{
	struct sock_fprog program = { .len = filter->n, .filter = filter->program };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
