/* SPDX-License-Identifier: MIT */
/* What the system's headers (Debian 12: Linux 6.1) lack of newer kernels. Numbers are the same on all architectures. */
#pragma once

#include <sys/syscall.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5 */
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* 6.6 */
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453 /* 6.6 */
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake 454 /* 6.7, as the next two */
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_statmount
#define SYS_statmount 457 /* 6.8, as the next four */
#define SYS_listmount 458
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules 461
#endif
#ifndef SYS_mseal
#define SYS_mseal 462 /* 6.10 */
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat 463 /* 6.13, as the next three */
#define SYS_getxattrat 464
#define SYS_listxattrat 465
#define SYS_removexattrat 466
#endif
