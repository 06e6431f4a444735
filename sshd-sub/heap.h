/* SPDX-License-Identifier: MIT */
/*
 * A pairing heap whose nodes live in what they order: no allocation, so nothing here can fail. Inserting is O(1), removing
 * any node O(log n) amortised (Fredman et al., "The pairing heap", 1986).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct HeapNode {
	struct HeapNode *child, *next;
	struct HeapNode *before; /* the sibling before it, or the parent of a first child */
} HeapNode;

/* Must `a` come out before `b`? */
typedef bool (*HeapOrder)(const HeapNode *a, const HeapNode *b);

typedef struct Heap {
	HeapNode *root; /* the first to come out, or NULL */
	HeapOrder order;
} Heap;

#define HEAP_ENTRY(node, Type, member) ((Type *)(void *)((char *)(node)-offsetof(Type, member)))

/* `node` is in no heap. What its order looks at must not change while it is in one. */
void heap_insert(Heap *heap, HeapNode *node);
/* `node` is in this heap. */
void heap_remove(Heap *heap, HeapNode *node);
