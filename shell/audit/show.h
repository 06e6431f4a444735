/* SPDX-License-Identifier: MIT */
/*
 * An entry of the record for people and for programs. What agents and strangers typed is shown so that it can neither drive a
 * terminal nor look like another line.
 */
#pragma once

#include "shell/audit/read.h"

/* One line. Bytes that are not printable ASCII as \xNN, newlines and tabs as \n and \t. Code and output are left out. */
void record_show_line(FILE *file, const RecordView *view);

/* All of it, a line a field; the lines of code and output below theirs, indented. An empty line behind it. */
void record_show_whole(FILE *file, const RecordView *view);

/* One object and a newline: time_usec, kind, agent, by, then what there is of the other fields, always in this order. */
void record_show_json(FILE *file, const RecordView *view);
