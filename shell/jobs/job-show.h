/* SPDX-License-Identifier: MIT */
/* A job for people and for programs. */
#pragma once

#include "shell/jobs/job.h"

/* The object that creel-job(1) describes, without a line's end. */
void job_show_json(FILE *file, const Job *job);
/* Lines of "what: value". */
void job_show(FILE *file, const Job *job, bool colours);
/* Shell words, cut to what a line can show. NULL when memory is out; the caller frees. */
_must_check_ char *job_command_text(const Job *job);
/* How long it took, or takes since it began. */
uint64_t job_duration(const Job *job);
int job_colour(const Job *job);
