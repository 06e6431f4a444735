/* SPDX-License-Identifier: MIT */
/*
 * The keeper's interface: names, paths and bounds that both ends share.
 *
 * Transport: D-Bus, point to point (no broker), on the unix stream socket KEEPER_SOCKET of one agent. The socket is
 * mode 0660, owned by the agent, group creel-sshd: other agents get EACCES from the kernel. The keeper reads the
 * peer's uid by SO_PEERCRED and knows three kinds: the front (user creel-sshd), its own agent, root.
 * Who may call what is one table: shell/keeper/methods.c.
 *
 * Interface org.creel.Keeper1 on object /org/creel/Keeper:
 *
 *   member       in -> out                          who          meaning
 *   Authorize    ssay -> b                          front        may this key log in as this user?
 *                user, peer, key blob               (a query: no session, no PAM, no record)
 *   Login        ssssuay -> sb                      front        the signature was verified: opens a session
 *                user, peer, signature algorithm, key fingerprint (SHA256:...), flags that a security key signed
 *                (0 for others), key blob
 *                                                   -> session id, whether the key may have a terminal. Error Denied: the reason is in the record
 *   Start        sussasbsauay -> ah                 front        gives birth to a process in a new leaf
 *                session, channel (chosen by the caller, unique in the session), kind (exec|shell|subsystem),
 *                command (or the subsystem's name), environment requested by the client ("NAME=value", the keeper
 *                filters), pty wanted, TERM, window size (columns, rows, x pixels, y pixels), encoded terminal
 *                modes (RFC 4254 section 8; may be empty)
 *                -> one descriptor with a pty (the master), else three: stdin, stdout, stderr of the process
 *   Signal       sus ->                             front        RFC 4254 section 6.9 name, without SIG
 *   Hangup       su ->                              front        the channel was closed before the client was told of an
 *                                                                end; answered when what it ran is hung up
 *   Told         su ->                              front        the client was told that the process ended: what it
 *                                                                left behind (KEEPER_EXITED_LEFT) lives on
 *   Logout       s ->                               front        the connection ended: hang up all that it ran;
 *                                                                answered when that is done
 *   Connect      ssu -> h                           front        local forwarding: session, host, port (loopback only)
 *                                                                -> the connected socket; error Denied says why not
 *   Attach       s -> au                            front        after the keeper came back: this session is mine;
 *                                                                -> its channels that still run
 *   Refused      sss ->                             front        a login failed before it reached Login: user, peer,
 *                                                                reason. Only written to the record.
 *   Adopt        ssss -> stttt                      root         the caller's process opens a session for the agent through
 *                                                                another door: PAM's service, terminal, remote host, remote user
 *                                                                -> session id; memory, tasks, CPU time (microseconds a second)
 *                                                                of a session, UINT64_MAX: no limit; open files of a process
 *                                                                It is in a leaf now, unless it was in a scope of logind's
 *   Limits       -> a(ssss)                         agent, root  name, limit, use, where the limit came from; those of a
 *                                                                session with the use of the one that the caller is in
 *   Reload       ->                                 root         read the policy again
 *   Sessions     -> a(sssstba(uusst))               root         id, door, peer, key fingerprint, since (CLOCK_REALTIME), whether only
 *                                                                what it left behind still lives; of each process: channel, pid,
 *                                                                kind, the command's first KEEPER_SHOWN_MAX bytes, since
 *   End          s ->                               root         ends that session and all that runs in it
 *   Memory       -> h                               agent        an empty memfd that nobody can execute, for code or stdin: for
 *                                                                callers whose policy lets them make none ([commands] allow)
 *   Run          ha{sv} -> t                        agent        executes code: a sealed memfd (F_SEAL_SHRINK, F_SEAL_GROW,
 *                                                                F_SEAL_WRITE), options (run.h) -> the run's number
 *   Stop         t ->                               agent        ends that run: cancelled
 *   History      bttss -> h                         agent        its own records, as JSON lines or lines: since (CLOCK_REALTIME), the
 *                                                                last so many, kind, session ("": any) -> a pipe; one at a time
 *   SetSecret    sh -> h                            agent        keeps a value (secret.h) under that name: a sealed memfd, as of Run, at
 *                                                                most SECRET_MAX bytes -> a pipe with what became of it
 *   Secret       s -> h                             agent        -> a pipe with that value; error NoSecret
 *   RemoveSecret s -> b                             agent        whether there was one
 *   Secrets      -> a(st)                           agent        names, and when each was set (CLOCK_REALTIME)
 *   Repls        -> a(sssttt)                       agent, root  name, language, state (starting|idle|busy), since
 *                                                                (CLOCK_REALTIME), microseconds since it was used, bytes
 *   Reset        ss -> b                            agent        language, name: ends that REPL; whether there was one
 *
 * Signal to the front that opened (or attached to) the session:
 *   Exited       susuus                             session, channel, how (exit|signal|unknown), exit status or
 *                                                   signal number, KEEPER_EXITED_ bits, a line for the user ("" = none)
 *   Ended        s                                  session: an operator ended it, and its connection is to be closed
 * Signals to the peer that called Run:
 *   Output       tuay                               run, 1 (stdout) or 2 (stderr), bytes, at most 64 KiB; only where it asked to
 *                                                   follow. A peer that has 16 messages unread, or one that has any while all
 *                                                   peers have 8M unread, is told no more of that run,
 *                                                   without a word: Finished and the file that it names have all
 *   Finished     ta{sv}                             run, result (run.h); the last that is said of a run
 *
 * `peer` is "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT" (the form of SSH_CONNECTION).
 * A connection that breaks a bound or the table gets an error and is closed.
 */
#pragma once

#define KEEPER_SOCKET_FORMAT "/run/creel/%u/keeper.sock"
#define KEEPER_OBJECT "/org/creel/Keeper"
#define KEEPER_INTERFACE "org.creel.Keeper1"

#define KEEPER_ERROR_DENIED "org.creel.Error.Denied"        /* this login, or this caller, may not */
#define KEEPER_ERROR_NO_SESSION "org.creel.Error.NoSession" /* unknown session or channel */
#define KEEPER_ERROR_NO_SECRET "org.creel.Error.NoSecret"   /* of that name */
#define KEEPER_ERROR_FULL "org.creel.Error.Full"            /* a bound or the agent's limit is reached */
#define KEEPER_ERROR_POLICY "org.creel.Error.Policy"        /* the policy is bad or forbids it; message says why */
#define KEEPER_ERROR_FAILED "org.creel.Error.Failed"        /* the system refused; message says what */

/* Exited. */
#define KEEPER_EXITED_CORE 1U /* core dumped */
#define KEEPER_EXITED_LEFT 2U /* processes that it started live, and end with the connection unless Told comes before */

/* The system user that the front runs as. */
#define FRONT_USER "creel-sshd"

/* Bounds that the keeper enforces and the front respects; those of runs are in run.h. */
#define KEEPER_USER_MAX 32U                  /* bytes of a user name, as useradd(8) */
#define KEEPER_KEY_BLOB_MAX (8U * 1024)      /* bytes of a public key; 16384-bit RSA is 2 kB */
#define KEEPER_COMMAND_MAX (128U * 1024 - 1) /* bytes of a command: one argument of execve(2), MAX_ARG_STRLEN */
#define KEEPER_ENVIRONMENT_MAX 64U           /* variables a client may ask for in one channel */
#define KEEPER_ENVIRONMENT_BYTES 8192U       /* of one variable, name and value */
#define KEEPER_CHANNELS_MAX 64U              /* running processes of one session */
#define KEEPER_FORWARDS_MAX 16U              /* connections that are being made for one session */
#define KEEPER_SHOWN_MAX 200U                /* bytes of a command that Sessions tells */
#define KEEPER_TERM_MAX 64U
#define KEEPER_HOST_MAX 255U /* bytes of a host's name, as DNS */
#define KEEPER_MODES_MAX 1024U
#define KEEPER_DOOR_TEXT_MAX 128U /* bytes of each thing that PAM knows of a session */
