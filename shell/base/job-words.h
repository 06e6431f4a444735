/* SPDX-License-Identifier: MIT */
/* A job's words as they stand in its unit: what `creel job` writes, and the record of what the user manager starts reads. */
#pragma once

#include "shell/base/cleanup.h"

#define JOB_UNIT_PREFIX "creel-job-" /* and NAME.service */

/* A word of its command as its unit holds it, in new memory (NULL: memory is out), and back again in place. */
_must_check_ char *job_word_encode(const char *word);
void job_word_decode(char *word);
