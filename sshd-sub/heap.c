/* SPDX-License-Identifier: MIT */
#include "sshd-sub/heap.h"

/* Both are roots without siblings, or NULL. */
static HeapNode *merge(const Heap *heap, HeapNode *a, HeapNode *b)
{
	if (!a || !b)
		return a ? a : b;
	if (heap->order(b, a)) {
		HeapNode *other = a;

		a = b;
		b = other;
	}
	b->before = a;
	b->next = a->child;
	if (a->child)
		a->child->before = b;
	a->child = b;
	return a;
}

/* In pairs from the left, then all of these from the right: that is what makes removing cheap. */
static HeapNode *merge_siblings(const Heap *heap, HeapNode *first)
{
	HeapNode *pairs = NULL, *all = NULL;

	while (first) {
		HeapNode *a = first, *b = a->next, *pair;

		first = b ? b->next : NULL;
		a->next = a->before = NULL;
		if (b)
			b->next = b->before = NULL;
		pair = merge(heap, a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs) {
		HeapNode *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		all = merge(heap, all, pair);
	}
	return all;
}

void heap_insert(Heap *heap, HeapNode *node)
{
	*node = (HeapNode){ 0 };
	heap->root = merge(heap, heap->root, node);
}

void heap_remove(Heap *heap, HeapNode *node)
{
	HeapNode *rest = merge_siblings(heap, node->child);

	if (heap->root == node) {
		heap->root = rest;
	} else {
		if (node->before->child == node)
			node->before->child = node->next;
		else
			node->before->next = node->next;
		if (node->next)
			node->next->before = node->before;
		heap->root = merge(heap, heap->root, rest);
	}
	*node = (HeapNode){ 0 };
}
