/* SPDX-License-Identifier: MIT */
/* What every cmocka test includes first: cmocka.h needs these before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
