# creel - an agent gets a login, not the machine
#
#   make up          the agent VM: build, boot, log in, run a command, fetch a file; says what to try
#   make test        everything: -Werror build, layers, unit tests, fuzz corpora, sanitizers, VM suite
#   make             build the programs into build/
#   make deps        install what building and testing need (Debian packages, as root)
#   make install     DESTDIR= PREFIX=/usr   install files; starts nothing
#
#   make deb         Debian packages into build/deb             make check-deb  and what lintian says of them
#
#   make vm          build the agent VM's image (cached)      make ssh    log in as the agent
#   make push        fresh build into the running VM          make down   stop the VM
#   make console     the VM's serial console                  make bench  measure beside OpenSSH and dropbear
#
#   make unit        unit tests                               make fuzz-corpora  replay the fuzz corpora
#   make runs        runs by the keeper's own sources, on a cgroup tree of this machine; as root
#   make tools       creel run, exec-server and their like alone, with a fake keeper; as root
#   make drivers     what runs code inside Python, Node and bash (CREEL_NODE=node: Node 22.13 or later)
#   make test-fleet  three VMs: one policy change rolled out, metrics and records collected
#   make cron        when entries of a crontab start, beside Debian's cron and others; as root
#   make front       the SSH front alone, on loopback, with OpenSSH's client and a fake keeper
#   make bench-front measure the front alone beside OpenSSH and dropbear; as root
#   make bench-runs  measure runs beside bwrap and systemd-run, in the agent VM
#   make tarball     a release: what provision.sh needs on a rented VM
#   make image       an agent VM as qcow2 and tar.gz for providers, RELEASE=bookworm or trixie; as root
#   make test-image  that image starts, from a BIOS and from EFI
#   make test-releases  stock Debian 12 and 13 in VMs: cloud-init, --remove, provision.sh again
#   make bench-confine  what the confinement adds to a birth; as root
#   make fuzz        fuzz what we parse, and hammer the front; FUZZ_SECONDS=60 for each, FUZZ_SEED=1
#   make check-layers  who may include whom                   make lint    gcc -fanalyzer, clang-tidy, shellcheck
#   make format      clang-format in place                    make compile_commands.json
#
# Variables: V=1 shows commands; CC=clang; SANITIZE=address,undefined; WERROR=1; BUILD=build. What was built with another
# CC, SANITIZE, CFLAGS, LDFLAGS or PREFIX is built again.

VERSION := 0.2.0
BUILD ?= build
PREFIX ?= /usr
CC ?= gcc
DESTDIR ?=
RELEASE ?= bookworm
CFLAGS ?= -O2 -g
PKG_CONFIG ?= pkg-config

bindir := $(PREFIX)/bin
sbindir := $(PREFIX)/sbin
libexecdir := $(PREFIX)/libexec/creel
datadir := $(PREFIX)/share/creel
mandir := $(PREFIX)/share/man
completionsdir := $(PREFIX)/share/bash-completion/completions
unitdir := $(PREFIX)/lib/systemd/system
generatordir := $(PREFIX)/lib/systemd/system-generators
usergeneratordir := $(PREFIX)/lib/systemd/user-generators
# before /usr/bin in everybody's PATH; who is no agent gets the crontab that is there
crontabdir := /usr/local/bin
sysusersdir := $(PREFIX)/lib/sysusers.d
tmpfilesdir := $(PREFIX)/lib/tmpfiles.d

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

# ---- flags: as distributions harden ----------------------------------------------------------------------------
warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef \
	    -Wno-unused-parameter $(if $(WERROR),-Werror)
hardening := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -fno-strict-aliasing \
	     $(if $(SANITIZE),-U_FORTIFY_SOURCE -fsanitize=$(SANITIZE) -fno-omit-frame-pointer,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2) \
	     $(if $(findstring address,$(SANITIZE)),-DCREEL_ADDRESS_SANITIZER)
all_cflags := -std=gnu17 -D_GNU_SOURCE -I. $(warnings) $(hardening) -fvisibility=hidden \
	      -DCREEL_LIBEXECDIR='"$(libexecdir)"' -DCREEL_DATADIR='"$(datadir)"' \
	      -DCREEL_BPF_DIR='"$(abspath $(BUILD))/shell/enforce"' -DCREEL_UNITDIR='"$(unitdir)"' -DCREEL_BINDIR='"$(bindir)"' -DCREEL_VERSION='"$(VERSION)"' $(CFLAGS)
# a sanitizer needs its shared library
static_ldflags = $(if $(SANITIZE),,-static-pie) $(if $(SANITIZE),$(all_ldflags),$(filter-out -pie,$(all_ldflags)))
all_ldflags := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

# What was built with other programs, flags or paths is built again; -Werror changes no object.
stamp_text = $(subst ','\'',$(CC) $(filter-out -Werror,$(all_cflags)) $(all_ldflags) $(PREFIX))
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(stamp_text)' | cmp -s - $@ || printf '%s\n' '$(stamp_text)' >$@
.PHONY: FORCE

# ---- sources: one list a folder ---------------------------------------------------------------------------------
base_src := shell/base/base64.c shell/base/file.c shell/base/job-words.c shell/base/json.c shell/base/key-type.c shell/base/keyed.c \
	    shell/base/log.c shell/base/moment.c shell/base/passing.c shell/base/privilege.c shell/base/quantity.c shell/base/rate.c shell/base/spawn.c shell/base/str.c \
	    shell/base/utf8.c
policy_src := shell/policy/agents.c shell/policy/check.c shell/policy/difference.c shell/policy/element.c shell/policy/policy.c \
	    shell/policy/enforced.c shell/policy/processes.c \
	      shell/policy/slice.c shell/policy/source.c shell/policy/stamp.c shell/policy/table.c shell/policy/transfer.c shell/policy/value.c
policy_src += shell/policy/opening.c shell/policy/package.c
bus_src := shell/bus/received.c shell/bus/run.c shell/bus/secret.c shell/bus/server.c shell/bus/unread.c
session_src := shell/session/account.c shell/session/environment.c shell/session/identity.c \
	       shell/session/key-options.c shell/session/keys.c shell/session/terminal.c
confine_src := shell/confine/calls.c shell/confine/commands.c shell/confine/confine.c shell/confine/filter.c \
	       shell/confine/landlock.c shell/confine/loopback.c shell/confine/paths.c shell/confine/places.c \
	       shell/confine/programs.c shell/confine/rules.c shell/confine/view.c shell/confine/watch.c
run_src := shell/run/birth.c shell/run/frame.c shell/run/hangup.c shell/run/language.c shell/run/leaf.c \
	   shell/run/listening.c shell/run/reaper.c
audit_src := shell/audit/record.c shell/audit/redact.c
audit_read_src := shell/audit/kinds.c shell/audit/read.c shell/audit/show.c
recordings_src := shell/audit/recordings.c
cast_src := shell/audit/cast.c shell/audit/redact.c
bus_client_src := shell/bus/client.c shell/bus/limit.c shell/bus/secret.c
mcp_src := $(foreach f,call files living message resources tools version,shell/tools/mcp-$(f).c)
tools_src := shell/tools/check.c shell/tools/check-files.c shell/tools/check-rows.c shell/tools/child.c shell/tools/client.c shell/tools/exec-request.c shell/tools/exec-server.c shell/tools/fields.c shell/tools/history.c shell/tools/jsontext.c \
	     shell/tools/language.c shell/tools/lines.c shell/tools/result.c shell/tools/run-command.c shell/tools/run-options.c \
	     shell/tools/script.c shell/tools/secret.c shell/tools/sessions.c $(mcp_src) shell/tools/mcp.c
jobs_base_src := $(foreach f,child folders manager name options pidfile program reason span table tail unit verb,shell/jobs/$(f).c)
# what is built upon it, a line a verb
jobs_src := $(jobs_base_src)
# what a crontab says: pure, and its file
cron_text_src := $(foreach f,crontab schedule spec units zone,shell/jobs/cron/$(f).c) shell/jobs/name.c shell/jobs/reason.c \
		 shell/tools/clean.c shell/tools/unicode.c
cron_store_src := shell/jobs/cron/store.c shell/jobs/folders.c
cron_src := $(foreach f,cron-add cron-command cron-list cron-logs cron-run crontab crontab-command edit reload schedule script spec store units zone,shell/jobs/cron/$(f).c)
jobs_src += $(cron_src)
jobs_src += $(foreach f,job job-end job-inside job-list job-logs job-record job-show job-start job-state joblog screen screens,shell/jobs/$(f).c)
service_pure_src := $(foreach f,address listeners probe service-spec unit-text unit-words,shell/jobs/$(f).c)
service_src := $(service_pure_src) $(foreach f,cgroup journal journal-show serve service service-create service-file service-list service-make service-port \
		service-show service-state service-verbs service-wait service-why,shell/jobs/$(f).c)
jobs_src += $(filter-out $(jobs_src),$(service_src))
ps_src := $(foreach f,end gather gather-files gather-ports gather-units listeners logs meters mistakes mistakes-files mistakes-run pids-folder process ps row row-show script-scan select status stop where,shell/jobs/$(f).c)
jobs_src += $(filter-out $(jobs_src),$(ps_src))
operator_src := shell/operator/agent.c shell/operator/as-agent.c shell/operator/retention.c shell/operator/agent-add.c shell/operator/agent-halt.c shell/operator/agent-home.c shell/operator/agent-key.c shell/operator/agent-list.c \
		shell/operator/agent-lock.c shell/operator/agent-remove.c shell/operator/agent-set.c shell/operator/audit.c shell/operator/audit-usage.c shell/operator/command.c shell/operator/enforce.c shell/operator/hostkeys.c \
		shell/operator/keyfile.c shell/operator/keytext.c shell/operator/leftovers.c shell/operator/metrics.c shell/operator/metrics-record.c shell/operator/packages.c shell/operator/packages-take.c shell/operator/policy-apply.c shell/operator/policy-diff.c \
		shell/operator/policy-verbs.c shell/operator/secrets.c shell/operator/series.c shell/operator/settext.c \
		shell/operator/units.c shell/operator/recording.c shell/operator/reload.c shell/operator/session-recordings.c shell/operator/session-verbs.c shell/operator/usage.c shell/operator/when.c shell/operator/words.c
keeper_src := shell/keeper/adopt.c shell/keeper/answer.c shell/keeper/budget.c shell/keeper/channel.c shell/keeper/consumption.c shell/keeper/door.c shell/keeper/enforced.c shell/keeper/execution-line.c shell/keeper/executions.c shell/keeper/forward.c shell/keeper/helper.c shell/keeper/history.c \
	      shell/keeper/limits.c shell/keeper/methods.c \
	      shell/keeper/place.c shell/keeper/policy-recording.c shell/keeper/recording.c shell/keeper/renewal.c shell/keeper/rescue.c shell/keeper/room.c \
	      shell/keeper/repl.c shell/keeper/repl-call.c shell/keeper/repls.c \
	      shell/keeper/run.c shell/keeper/run-adopt.c shell/keeper/run-methods.c shell/keeper/run-new.c shell/keeper/run-recording.c shell/keeper/run-request.c \
	      shell/keeper/run-result.c shell/keeper/run-spare.c shell/keeper/secrets.c shell/keeper/session.c shell/keeper/session-methods.c shell/keeper/spare.c shell/keeper/spill.c shell/keeper/stream.c shell/keeper/start.c shell/keeper/surroundings.c shell/keeper/target.c shell/keeper/terminal-recording.c shell/keeper/unit-recording.c
network_text_src := shell/enforce/network-rules.c shell/enforce/firewall.c shell/enforce/operator-ports.c \
		    shell/enforce/program.c shell/enforce/resolver.c shell/enforce/tables.c shell/enforce/transfer.c shell/enforce/quota.c \
		    shell/enforce/quota-mounts.c
enforce_src := shell/enforce/agents.c shell/enforce/bpf.c shell/enforce/cgroups.c shell/enforce/executions.c shell/enforce/mark.c shell/enforce/network.c shell/enforce/ports.c \
	       shell/enforce/processes.c shell/enforce/services.c shell/enforce/strangers.c $(network_text_src)
# what runs in the kernel; each is embedded in the program by the file of the same name
bpf_src := shell/enforce/cgroups.bpf.c shell/enforce/executions.bpf.c shell/enforce/mark.bpf.c shell/enforce/ports.bpf.c shell/enforce/processes.bpf.c shell/enforce/services.bpf.c \
	   shell/enforce/strangers.bpf.c
units_src := units/agent-units.c units/unit-dir.c
sshd_src := sshd-sub/allow.c sshd-sub/anew.c sshd-sub/blob.c sshd-sub/channel.c sshd-sub/children.c \
	    sshd-sub/forwarding.c sshd-sub/guard.c sshd-sub/heap.c sshd-sub/hostkey.c sshd-sub/keepalive.c sshd-sub/link.c \
	    sshd-sub/listener.c sshd-sub/modes.c sshd-sub/departure.c sshd-sub/kept.c \
	    sshd-sub/monitor.c sshd-sub/monitor-channel.c sshd-sub/monitor-forward.c sshd-sub/monitor-keeper.c \
	    sshd-sub/monitor-login.c sshd-sub/offer.c sshd-sub/peer.c sshd-sub/pump.c \
	    sshd-sub/sandbox.c sshd-sub/selftest.c sshd-sub/sftp-window.c sshd-sub/sources.c sshd-sub/spare.c sshd-sub/split.c sshd-sub/userauth.c \
	    sshd-sub/waiting.c sshd-sub/window.c sshd-sub/wire.c sshd-sub/worker.c sshd-sub/worker-auth.c
filter_src := shell/confine/filter.c
listing_src := shell/collect/listing.c
collect_src := shell/collect/collect.c shell/collect/digest.c shell/collect/memory.c shell/collect/walk.c $(listing_src)
keeper_src += shell/keeper/output.c $(listing_src)
render_src := shell/tools/clean.c shell/tools/render.c shell/tools/render-walk.c shell/tools/unicode.c
render_command_src := shell/tools/render-command.c shell/tools/render-result.c
doctor_src := $(foreach f,doctor doctor-agent doctor-doors doctor-drift doctor-enforced doctor-files doctor-kernel doctor-look doctor-network doctor-units,\
		shell/operator/$(f).c)
operator_src += $(doctor_src) $(recordings_src)

# ---- programs: what each is made of, and the libraries it links -------------------------------------------------
programs := creel-history creel-recorder creel-secret creel-sshd creel-keeper creel-collect creel-confine creel-enforce creel-generator creel-cron-generator creelctl creel creel-shell

# (a program's rows: NAME_src, NAME_libs (pkg-config names), NAME_ldlibs, NAME_dir (where it is installed))

creel-sshd_src := sshd-sub/creel-sshd.c $(sshd_src) $(filter_src) $(audit_src) $(base_src)
creel-sshd_libs := libssh libcrypto libsystemd
# libssh must find these in the program (sshd-sub/split.c, sshd-sub/modes.c, sshd-sub/guard.c)
creel-sshd_ldlibs := $(foreach f,EVP_DigestSign EVP_DigestVerify EVP_PKEY_get_raw_private_key \
			EVP_PKEY_new_raw_private_key gss_indicate_mechs ssh_string_new ssh_string_free RAND_bytes,-Wl,--export-dynamic-symbol=$(f))
creel-sshd_dir := $(libexecdir)

creel-keeper_src := shell/creel-keeper.c $(keeper_src) shell/audit/kinds.c $(recordings_src) $(session_src) $(confine_src) $(run_src) $(audit_src) \
		    $(bus_src) $(policy_src) $(base_src)
creel-keeper_libs := libsystemd inih
# libsystemd must find it in the program (shell/bus/received.c)
watch_ldlibs := -Wl,--export-dynamic-symbol=recvmsg
creel-keeper_ldlibs := -lpam $(watch_ldlibs)
creel-keeper_dir := $(libexecdir)

creel-history_src := shell/creel-history.c $(audit_read_src) $(base_src)
creel-history_libs := libsystemd
creel-history_dir := $(libexecdir)

creel-secret_src := shell/creel-secret.c shell/bus/secret.c $(base_src)
creel-secret_dir := $(libexecdir)

creel-recorder_src := shell/creel-recorder.c $(cast_src) $(filter_src) $(base_src)
creel-recorder_dir := $(libexecdir)

creel-collect_src := shell/creel-collect.c $(collect_src) $(base_src)
creel-collect_libs := libcrypto
creel-collect_dir := $(libexecdir)

creel-enforce_src := shell/creel-enforce.c $(enforce_src) $(policy_src) $(base_src)
creel-enforce_libs := libbpf inih
creel-enforce_dir := $(libexecdir)

creel-confine_src := shell/creel-confine.c shell/session/identity.c $(confine_src) $(policy_src) $(base_src)
creel-confine_libs := inih
creel-confine_dir := $(libexecdir)

creel-generator_src := units/creel-generator.c $(units_src) $(policy_src) $(base_src)
creel-generator_libs := inih
creel-generator_dir := $(generatordir)

creel-cron-generator_src := units/creel-cron-generator.c units/unit-dir.c $(sort $(cron_text_src) $(cron_store_src)) $(base_src)
creel-cron-generator_dir := $(usergeneratordir)

creelctl_src := shell/creelctl.c $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
creelctl_libs := libsystemd inih libcrypto
creelctl_dir := $(sbindir)

# static: nothing of the agent's is loaded into it
creel-shell_src := shell/creel-shell.c $(confine_src) $(policy_src) $(base_src)
creel-shell_libs := inih
creel-shell_dir := $(libexecdir)
creel-shell_static := yes

# a module: loaded into sshd, su, login and others
pam_creel_src := shell/pam_creel.c shell/policy/slice.c shell/base/file.c shell/base/rate.c shell/base/str.c
pam_creel_libs := libsystemd
pam_creel_ldlibs := -lpam
securitydir := $(PREFIX)/lib/$(shell gcc -print-multiarch)/security

creel_src := shell/creel.c $(tools_src) shell/bus/run.c $(bus_client_src) $(policy_src) $(base_src)
creel_src += $(render_command_src) $(render_src) $(jobs_src)
creel_libs := libsystemd jansson inih
creel_ldlibs := -lm
creel_dir := $(bindir)

# ---- tests that need no machine of their own: tests/unit/NAME.c and tests/fuzz/fuzz_NAME.c, and what each tests ------
unit_tests := test_base test_leftovers test_policy test_enforced test_settext test_generator test_key_options test_keys test_keytext test_operator test_leaf \
	      test_session test_wire test_allow test_userauth test_hostkey test_sftp_window test_keepalive test_guard test_modes \
	      test_peer test_filter test_listening test_place test_target test_waiting test_policy_files test_departure test_kept \
	      test_calls test_confine test_network test_tools test_run test_frame test_render test_collect
test_base_src := $(audit_src) $(base_src)
test_policy_src := $(policy_src) $(base_src)
test_policy_libs := inih
unit_tests += test_cron test_package test_shelf test_jobs test_screens test_service test_ps test_redact test_when test_execution_line test_record_room test_cast
test_cron_src := $(cron_text_src) $(base_src)
test_record_room_src := $(audit_src) $(base_src)
unit_tests += test_metrics test_keyfile
test_keyfile_src := $(session_src) $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
test_keyfile_libs := libsystemd inih libcrypto
test_keyfile_ldlibs := -lpam
test_metrics_src := $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
test_metrics_libs := libsystemd inih libcrypto
test_when_src := $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
test_when_libs := libsystemd inih libcrypto
test_execution_line_src := shell/keeper/execution-line.c shell/base/job-words.c
test_redact_src := shell/audit/redact.c $(base_src)
test_cast_src := $(cast_src) $(recordings_src) $(base_src)
test_shelf_src := shell/operator/packages-take.c $(base_src)
test_package_src := $(policy_src) $(base_src)
test_package_libs := inih
test_policy_files_src := $(policy_src) $(base_src)
test_policy_files_libs := inih

test_settext_src := shell/operator/settext.c
test_enforced_src := $(policy_src) $(base_src)
test_enforced_libs := inih
test_generator_src := $(units_src) $(policy_src) $(base_src)
test_generator_libs := inih
test_keys_src := $(session_src) $(policy_src) $(base_src)
test_keys_libs := inih
test_keys_ldlibs := -lpam
test_key_options_src := $(session_src) $(policy_src) $(base_src)
test_key_options_libs := inih
test_key_options_ldlibs := -lpam
test_keytext_src := $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
test_keytext_libs := libsystemd inih libcrypto
doctor_tests := test_doctor test_doctor_agent test_doctor_doors test_doctor_drift test_doctor_enforced test_doctor_files test_doctor_kernel
unit_tests += $(doctor_tests)
$(foreach t,$(doctor_tests),$(eval $(t)_src := tests/unit/doctor.c $$(operator_src) $$(audit_src) $$(audit_read_src) $$(bus_client_src) $$(policy_src) $$(base_src)))
$(foreach t,$(doctor_tests),$(eval $(t)_libs := libsystemd inih libcrypto))
test_leftovers_src := shell/operator/leftovers.c $(base_src)
test_operator_src := $(operator_src) $(audit_src) $(audit_read_src) $(bus_client_src) $(policy_src) $(base_src)
test_operator_libs := libsystemd inih libcrypto
test_leaf_src := $(run_src) $(session_src) $(confine_src) $(policy_src) $(base_src)
test_leaf_libs := inih
test_leaf_ldlibs := -lpam
birth_tests := test_birth test_birth_view
unit_tests += $(birth_tests)
$(foreach t,$(birth_tests),$(eval $(t)_src := tests/unit/birth.c $$(run_src) $$(confine_src) $$(policy_src) $$(base_src)))
$(foreach t,$(birth_tests),$(eval $(t)_libs := inih))
test_session_src := $(session_src) $(policy_src) $(base_src)
test_session_libs := inih
test_session_ldlibs := -lpam
test_wire_src := sshd-sub/wire.c $(base_src)
test_allow_src := sshd-sub/allow.c
test_userauth_src := sshd-sub/userauth.c sshd-sub/blob.c $(base_src)
test_userauth_libs := libcrypto
test_hostkey_src := sshd-sub/hostkey.c sshd-sub/blob.c $(base_src)
test_hostkey_libs := libcrypto
test_keepalive_src := sshd-sub/keepalive.c shell/base/rate.c
test_guard_src := sshd-sub/guard.c
test_guard_libs := libcrypto
test_modes_src := sshd-sub/modes.c
test_departure_src := sshd-sub/departure.c
test_kept_src := sshd-sub/kept.c
test_kept_libs := libssh
test_modes_libs := libssh
test_sftp_window_src := sshd-sub/sftp-window.c
test_peer_src := sshd-sub/peer.c
test_waiting_src := sshd-sub/children.c sshd-sub/heap.c sshd-sub/peer.c sshd-sub/sources.c sshd-sub/waiting.c
unit_tests += test_room
test_room_src := shell/bus/unread.c shell/keeper/budget.c shell/keeper/room.c $(run_src) $(confine_src) $(policy_src) $(base_src)
test_room_libs := inih
test_place_src := shell/keeper/place.c shell/policy/slice.c $(base_src)
test_target_src := shell/keeper/target.c $(session_src) $(policy_src) $(base_src)
test_target_libs := inih
test_target_ldlibs := -lpam
test_frame_src := shell/run/frame.c
test_run_src := shell/bus/run.c $(base_src)
test_run_libs := libsystemd
test_listening_src := shell/run/listening.c $(base_src)
test_network_src := shell/enforce/agents.c $(network_text_src) $(policy_src) $(base_src)
test_network_libs := inih
unit_tests += test_child test_spawn
test_spawn_src := $(base_src)
test_child_src := shell/tools/child.c $(base_src)
test_child_libs := libsystemd
test_tools_src := $(tools_src) shell/tools/clean.c shell/tools/unicode.c shell/bus/run.c $(bus_client_src) $(base_src)
test_tools_libs := libsystemd jansson
test_tools_ldlibs := -lm
test_filter_src := $(filter_src) $(base_src)
test_collect_src := $(collect_src) shell/bus/run.c $(base_src)
test_collect_libs := libsystemd libcrypto
test_jobs_src := $(jobs_src) $(policy_src) shell/bus/run.c $(bus_client_src) shell/tools/clean.c shell/tools/jsontext.c shell/tools/unicode.c $(base_src)
test_jobs_libs := libsystemd inih jansson
test_screens_src := $(test_jobs_src)
test_screens_libs := $(test_jobs_libs)
test_service_src := $(service_pure_src) $(base_src)
test_ps_src := $(test_jobs_src)
test_ps_libs := libsystemd jansson inih
test_render_src := tests/fuzz/render-model.c $(render_src) $(base_src)
test_calls_src := $(confine_src) $(policy_src) $(base_src)
test_calls_libs := inih
test_confine_src := $(confine_src) $(policy_src) $(base_src)
test_confine_libs := inih

fuzz_tests := check redact cast crontab policy keys key_options wire userauth hostkey sftp modes target bus_keeper bus_monitor exec_server frame render listing mcp unit ps jobs
fuzz_check_src := shell/tools/check-files.c $(base_src)
fuzz_ps_src := shell/jobs/process.c shell/jobs/script-scan.c shell/jobs/where.c $(base_src)
fuzz_crontab_src := $(cron_text_src) $(base_src)
fuzz_unit_src := $(service_pure_src) $(base_src)
fuzz_cast_src := $(cast_src) $(base_src)
fuzz_redact_src := shell/audit/redact.c $(base_src)
fuzz_frame_src := shell/run/frame.c $(base_src)
fuzz_modes_src := sshd-sub/modes.c shell/session/terminal.c shell/session/identity.c $(base_src)
fuzz_modes_libs := libssh
fuzz_policy_src := $(policy_src) $(base_src)
fuzz_policy_libs := inih
fuzz_keys_src := $(session_src) $(policy_src) $(base_src)
fuzz_keys_libs := inih
fuzz_keys_ldlibs := -lpam
fuzz_key_options_src := $(session_src) $(policy_src) $(base_src)
fuzz_key_options_libs := inih
fuzz_key_options_ldlibs := -lpam
fuzz_wire_src := sshd-sub/wire.c sshd-sub/allow.c $(base_src)
fuzz_userauth_src := sshd-sub/userauth.c sshd-sub/blob.c $(base_src)
fuzz_userauth_libs := libcrypto
fuzz_hostkey_src := sshd-sub/hostkey.c sshd-sub/blob.c $(base_src)
fuzz_hostkey_libs := libcrypto
# for targets that look at the log's lines themselves
silent_src := $(filter-out shell/base/log.c,$(base_src))
fuzz_target_src := shell/keeper/target.c $(session_src) $(policy_src) $(base_src)
fuzz_target_libs := inih
fuzz_target_ldlibs := -lpam
fuzz_bus_keeper_src := $(audit_src) shell/keeper/answer.c shell/keeper/budget.c shell/keeper/methods.c shell/keeper/secrets.c shell/keeper/run-methods.c shell/keeper/target.c shell/session/key-options.c $(bus_src) $(policy_src) $(silent_src)
fuzz_bus_keeper_libs := inih
fuzz_bus_keeper_ldlibs := $(watch_ldlibs)
fuzz_bus_monitor_src := sshd-sub/monitor-channel.c sshd-sub/monitor-forward.c sshd-sub/monitor-keeper.c \
			sshd-sub/monitor-login.c sshd-sub/userauth.c sshd-sub/blob.c sshd-sub/wire.c $(audit_src) $(silent_src)
fuzz_bus_monitor_libs := libcrypto
fuzz_listing_src := $(listing_src) $(base_src)
fuzz_render_src := tests/fuzz/render-model.c $(render_src) $(base_src)
fuzz_exec_server_src := shell/tools/exec-request.c shell/tools/fields.c shell/tools/jsontext.c shell/tools/language.c shell/tools/lines.c \
			shell/bus/run.c $(base_src)
fuzz_exec_server_libs := jansson
fuzz_exec_server_ldlibs := -lm
fuzz_mcp_src := $(mcp_src) shell/tools/fields.c shell/tools/jsontext.c shell/tools/language.c shell/tools/result.c shell/bus/run.c $(base_src)
fuzz_mcp_libs := jansson
fuzz_mcp_ldlibs := -lm
fuzz_jobs_src := $(jobs_src) $(policy_src) shell/bus/run.c $(bus_client_src) shell/tools/clean.c shell/tools/jsontext.c shell/tools/unicode.c $(base_src)
fuzz_jobs_libs := jansson inih
fuzz_sftp_src := sshd-sub/sftp-window.c $(base_src)

# ---- layers: who may include whom; `make check-layers` reads this ------------------------------------------------
layers := sshd-sub units shell shell/base shell/policy shell/bus shell/audit shell/session shell/confine shell/run \
	  shell/keeper shell/operator shell/enforce shell/tools shell/jobs shell/collect tests
may_shell/base :=
may_shell/policy := shell/base
may_shell/bus := shell/base
may_shell/audit := shell/base
may_shell/session := shell/base shell/policy
may_shell/confine := shell/base shell/policy
may_shell/run := shell/base shell/policy shell/confine shell/session shell/audit
may_shell/keeper := shell/base shell/policy shell/bus shell/audit shell/session shell/confine shell/run shell/collect
may_shell/collect := shell/base shell/bus
may_shell/operator := shell/base shell/policy shell/bus shell/audit
may_shell/enforce := shell/base shell/policy
may_shell/tools := shell/base shell/bus
may_shell/jobs := shell/base shell/bus shell/policy shell/session shell/run shell/tools
may_shell := shell/enforce shell/tools shell/jobs shell/operator shell/keeper shell/base shell/policy shell/bus shell/audit shell/session shell/confine shell/run shell/collect
may_sshd-sub := shell/base shell/bus shell/confine shell/audit
may_units := shell/base shell/policy shell/jobs
may_tests := shell/enforce shell/tools shell/jobs shell/operator sshd-sub units shell shell/keeper shell/base shell/policy shell/bus shell/audit shell/session shell/confine shell/run shell/collect
# outside libraries: header prefix -> the folders that own it
owned_headers := jansson.h libssh/ ini.h security/ systemd/sd-bus.h systemd/sd-journal.h openssl/ bpf/
owner_jansson.h := shell/tools shell/jobs tests
owner_libssh/ := sshd-sub tests
owner_ini.h := shell/policy
owner_security/ := shell/session shell
owner_systemd/sd-bus.h := shell/bus shell/keeper shell/operator shell/tools shell/jobs shell sshd-sub tests
owner_systemd/sd-journal.h := shell/audit shell/jobs
owner_openssl/ := sshd-sub shell/operator shell/collect tests
owner_bpf/ := shell/enforce

# ---- unit files and the like: units/NAME.in -> where NAME is installed ---------------------------------------------
systemddir := $(PREFIX)/lib/systemd
unit_files := creel.slice:$(unitdir)/creel.slice \
	      creel-sshd.socket:$(unitdir)/creel-sshd.socket \
	      creel-sshd.service:$(unitdir)/creel-sshd.service \
	      creel-enforce.service:$(unitdir)/creel-enforce.service \
	      creel-resolver@.service:$(unitdir)/creel-resolver@.service \
	      creel-packages@.service:$(unitdir)/creel-packages@.service \
	      creel-count.service:$(unitdir)/creel-count.service \
	      creel-count.timer:$(unitdir)/creel-count.timer \
	      creel-metrics.service:$(unitdir)/creel-metrics.service \
	      creel-metrics.timer:$(unitdir)/creel-metrics.timer \
	      creel-upload.service:$(unitdir)/creel-upload.service \
	      creel-quota.service:$(unitdir)/creel-quota.service \
	      run-screen.mount:$(unitdir)/run-screen.mount \
	      creel-keeper@.socket:$(unitdir)/creel-keeper@.socket \
	      creel-keeper@.service:$(unitdir)/creel-keeper@.service \
	      creel-leaves@.service:$(unitdir)/creel-leaves@.service \
	      creel-rescue@.service:$(unitdir)/creel-rescue@.service \
	      user-0.slice:$(unitdir)/user-0.slice.d/40-creel.conf \
	      user.slice:$(unitdir)/user.slice.d/40-creel.conf \
	      system.slice:$(unitdir)/system.slice.d/40-creel.conf \
	      journald-creel.socket:$(unitdir)/systemd-journald@creel.socket.d/creel.conf \
	      journald-creel.conf:$(systemddir)/journald@creel.conf.d/creel.conf \
	      sysusers.conf:$(sysusersdir)/creel.conf \
	      tmpfiles.conf:$(tmpfilesdir)/creel.conf \
	      modules-load.conf:$(PREFIX)/lib/modules-load.d/creel.conf \
	      sysctl.conf:$(PREFIX)/lib/sysctl.d/60-creel.conf \
	      dbus-system.conf:$(PREFIX)/share/dbus-1/system.d/creel.conf \
	      polkit.rules:$(PREFIX)/share/polkit-1/rules.d/00-creel.rules \
	      pam-config:$(PREFIX)/share/pam-configs/creel \
	      sshd-agents.conf:/etc/ssh/sshd_config.d/10-creel-agents.conf \
	      pam-creel:/etc/pam.d/creel
script_files := units/quota-on:$(libexecdir)/quota-on
data_files := $(foreach f,instaclaw openclaw clawcentral,provision/profiles/$(f).conf:$(datadir)/profiles/$(f).conf)
data_files += shell/completion/creel.bash:$(completionsdir)/creel
# bash-completion has one for crontab, and looks here first
data_files += shell/completion/creel.bash:/usr/local/share/bash-completion/completions/crontab
# what is handed to pip and npm, and who fetches for them
data_files += provision/data/pip_install-no.txt:$(datadir)/packages/pip_install-no.txt
# what agents install themselves
data_files += provision/data/requirements.txt:$(datadir)/requirements.txt
script_files += units/packages-fetch:$(libexecdir)/packages-fetch
# what reads code on descriptor 3 and executes it (shell/run/language.c)
data_files += $(foreach f,bash-repl.sh figures.py node-repl.cjs node-run.cjs prepared.py python-repl.py python-run.py serve.py,shell/drivers/$(f):$(datadir)/drivers/$(f))
man_pages := $(foreach p,creel.1 creel.7 creel-provision.8 creel-job.1 creel-secret.1 creel-screen.1 creel-ps.1 creel-status.1 creel-cron.1 creel-cron-generator.8 creel-service.1 creel.conf.5 creel-exec-server.7 creel-mcp.7 creel-collect.8 creel-history.8 creel-recorder.8 creel-confine.8 creelctl.8 creel-enforce.8 creel-generator.8 creel-keeper.8 creel-sshd.8 \
	creel-shell.8 pam_creel.8,docs/man/$(p):$(mandir)/man$(patsubst .%,%,$(suffix $(p)))/$(p))

# ---- rules ------------------------------------------------------------------------------------------------------
define program_rules
$(1)_obj := $$($(1)_src:%.c=$$(BUILD)/%.o)

$$(BUILD)/$(1): $$($(1)_obj)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(all_cflags) -o $$@ $$($(1)_obj) $$(if $$($(1)_static),$$(static_ldflags),$$(all_ldflags)) \
		$$(if $$($(1)_libs),$$(shell $$(PKG_CONFIG) $$(if $$($(1)_static),--static) --libs $$($(1)_libs))) $$($(1)_ldlibs)
all_obj += $$($(1)_obj)
endef
$(foreach p,$(programs),$(eval $(call program_rules,$(p))))

# code that can lie anywhere, for what is loaded into other programs
$(BUILD)/module/%.o: %.c Makefile $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -fPIE,$(all_cflags)) -fPIC -MMD -MP -c -o $@ $<

module_obj := $(pam_creel_src:%.c=$(BUILD)/module/%.o)
-include $(module_obj:%.o=%.d)
$(BUILD)/pam_creel.so: $(module_obj)
	$(call say,LD,$@)
	$(Q)$(CC) $(filter-out -fPIE,$(all_cflags)) -shared -o $@ $^ $(filter-out -pie,$(all_ldflags)) -Wl,-z,defs \
		$(shell $(PKG_CONFIG) --libs $(pam_creel_libs)) $(pam_creel_ldlibs)

# $(call test_rules,NAME,SOURCES,LIBRARIES): a program in build/tests
define test_rules
$(1)_obj := $$(sort $$(patsubst %.c,$$(BUILD)/%.o,$(2) $$($(1)_src)))

$$(BUILD)/tests/$(1): $$($(1)_obj)
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(all_cflags) -o $$@ $$($(1)_obj) $$(all_ldflags) $$(shell $$(PKG_CONFIG) --libs $(3) $$($(1)_libs)) $$($(1)_ldlibs)
all_obj += $$($(1)_obj)
endef
$(foreach t,$(unit_tests),$(eval $(call test_rules,$(t),tests/unit/$(t).c,cmocka)))
$(foreach t,$(fuzz_tests),$(eval $(call test_rules,fuzz_$(t),tests/fuzz/fuzz_$(t).c tests/fuzz/replay.c,libsystemd)))

# a keeper without privilege, for tests and measurements of the front alone
fake-keeper_src := tests/bench/fake-forward.c shell/session/terminal.c shell/session/identity.c $(bus_src) $(base_src)
$(eval $(call test_rules,fake-keeper,tests/bench/fake-keeper.c,libsystemd))
# a keeper of runs alone, for tests on this machine
run-keeper_src := $(filter-out shell/keeper/enforced.c,$(keeper_src)) shell/audit/kinds.c $(recordings_src) $(session_src) $(confine_src) $(run_src) $(audit_src) $(bus_src) \
		  $(policy_src) $(base_src)
run-keeper_libs := inih
run-keeper_ldlibs := -lpam $(watch_ldlibs)
$(eval $(call test_rules,run-keeper,tests/runs/run-keeper.c,libsystemd))
# a keeper that executes runs without confinement, for tests of the tools alone
fake-runs_src := tests/tools/fake-capture.c tests/tools/fake-process.c $(bus_src) $(base_src)
fake-runs_libs := libcrypto
$(eval $(call test_rules,fake-runs,tests/tools/fake-runs.c,libsystemd))
# what the confinement costs a birth
bench-confine_src := $(confine_src) $(policy_src) $(base_src)
bench-confine_libs := inih
$(eval $(call test_rules,bench-confine,tests/bench/bench-confine.c,libsystemd))
# what it costs to execute code, one way beside the other
bench-runs_src := tests/bench/bench-ways.c $(bus_client_src) shell/bus/run.c $(base_src)
$(eval $(call test_rules,bench-runs,tests/bench/bench-runs.c,libsystemd))
# a flood of records beside a quiet agent
bench-record_src := $(audit_src) $(audit_read_src) $(base_src)
$(eval $(call test_rules,bench-record,tests/bench/bench-record.c,libsystemd))
# what creel makes of a crontab, for oracles; and the clock that one of them lives by
starts_src := $(cron_text_src) $(base_src)
$(eval $(call test_rules,starts,tests/cron/starts.c,libsystemd))
$(BUILD)/tests/clock.so: tests/cron/clock.c Makefile $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE -O2 $(warnings) -fPIC -shared -o $@ $<
# what the VM's tests run through each door; static, so that it starts wherever it is copied to
probe_obj := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/vm/probe/*.c)))
$(BUILD)/tests/probe: $(probe_obj)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -o $@ $^ $(static_ldflags)
all_obj += $(probe_obj)
# a far client, for measurements
delay-link_src := $(base_src)
$(eval $(call test_rules,delay-link,tests/bench/delay-link.c,libsystemd))

# creel-sshd as it would be beside a libssh that reaches one of its private-key operations in another way: the function
# that is bound to it here has another name. It must refuse to serve.
blind_programs := $(foreach f,EVP_DigestSign EVP_DigestVerify,$(BUILD)/tests/creel-sshd-without-$(f))
$(blind_programs): $(BUILD)/tests/creel-sshd-without-%: $(creel-sshd_obj)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)objcopy --redefine-sym $*=unused_$* $(BUILD)/sshd-sub/split.o $@.o
	$(Q)$(CC) $(all_cflags) -o $@ $(filter-out %/split.o,$^) $@.o $(all_ldflags) $(shell $(PKG_CONFIG) --libs $(creel-sshd_libs)) \
		$(creel-sshd_ldlibs)

.PHONY: blind
blind: $(blind_programs)

$(BUILD)/%.o: %.c Makefile $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# programs for the kernel's BPF machine; the kernel's own types are declared where they are used, and found at run time
bpf_cflags := -std=gnu17 -O2 -g -fdebug-compilation-dir=. -target bpf -mcpu=v3 -I. -isystem /usr/include/$(shell gcc -print-multiarch) \
	      -Wall -Wextra -Wshadow -Wno-unused-parameter $(if $(WERROR),-Werror)
$(BUILD)/shell/enforce/%.bpf.o: shell/enforce/%.bpf.c Makefile $(BUILD)/flags
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)clang $(bpf_cflags) -MMD -MP -c -o $@ $<
-include $(bpf_src:%.c=$(BUILD)/%.d)
$(BUILD)/shell/enforce/cgroups.o: $(BUILD)/shell/enforce/cgroups.bpf.o
$(BUILD)/shell/enforce/executions.o: $(BUILD)/shell/enforce/executions.bpf.o
$(BUILD)/shell/enforce/mark.o: $(BUILD)/shell/enforce/mark.bpf.o
$(BUILD)/shell/enforce/ports.o: $(BUILD)/shell/enforce/ports.bpf.o
$(BUILD)/shell/enforce/processes.o: $(BUILD)/shell/enforce/processes.bpf.o
$(BUILD)/shell/enforce/services.o: $(BUILD)/shell/enforce/services.bpf.o
$(BUILD)/shell/enforce/strangers.o: $(BUILD)/shell/enforce/strangers.bpf.o

-include $(patsubst %.o,%.d,$(sort $(all_obj)))

built_units := $(foreach f,$(unit_files),$(BUILD)/units/$(firstword $(subst :, ,$(f))))
$(built_units): $(BUILD)/units/%: units/%.in Makefile $(BUILD)/flags
	$(call say,UNIT,$@)
	@mkdir -p $(@D)
	$(Q)sed 's|@libexecdir@|$(libexecdir)|g; s|@sbindir@|$(sbindir)|g' $< >$@

.PHONY: all help clean install
all: $(programs:%=$(BUILD)/%) $(BUILD)/pam_creel.so $(built_units)

# $(call put,MODE,SOURCE:DESTINATION): one line a file; nothing is started, enabled or reloaded
put = $(Q)install -D -m $(1) $(firstword $(subst :, ,$(2))) '$(DESTDIR)$(lastword $(subst :, ,$(2)))'
define newline


endef
install: all
	$(foreach p,$(programs),$(call put,0755,$(BUILD)/$(p):$($(p)_dir)/$(p))$(newline)	)
	$(call put,0644,$(BUILD)/pam_creel.so:$(securitydir)/pam_creel.so)
	$(Q)install -d '$(DESTDIR)$(crontabdir)' && ln -sf "$$(realpath -m --relative-to='$(crontabdir)' '$(bindir)/creel')" '$(DESTDIR)$(crontabdir)/crontab'
	$(foreach f,$(script_files),$(call put,0755,$(f))$(newline)	)
	$(foreach f,$(unit_files),$(call put,0644,$(BUILD)/units/$(f))$(newline)	)
	$(foreach f,$(data_files) $(man_pages),$(call put,0644,$(f))$(newline)	)

# ---- tests that run here -------------------------------------------------------------------------------------------
.PHONY: unit fuzz-corpora front runs tools drivers cron
# when entries of a crontab start, beside Debian's cron under a clock of its own, croniter and systemd-analyze; as root
cron: $(BUILD)/tests/starts $(BUILD)/tests/clock.so
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B -m pytest -q -p no:cacheprovider -W ignore tests/cron

# the drivers of runs and sessions, with the interpreters of this machine
drivers:
	$(Q)/usr/bin/python3 -B -m pytest -q -p no:cacheprovider -W ignore -rs tests/drivers

# creel's commands about runs, with a fake keeper; as root, in a mount namespace of its own
tools: all $(BUILD)/tests/fake-runs $(BUILD)/tests/run-keeper
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -m pytest -q -p no:cacheprovider -W ignore tests/tools

# runs by the keeper's own sources, on a cgroup tree of this machine's; as root
runs: $(BUILD)/tests/run-keeper $(BUILD)/creel-collect $(BUILD)/creel-recorder $(BUILD)/creelctl
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B -m pytest -q -p no:cacheprovider -W ignore tests/runs

# creel-sshd on loopback with a fake keeper and the OpenSSH client
front: $(BUILD)/creel-sshd $(BUILD)/tests/fake-keeper $(BUILD)/tests/delay-link blind
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -m pytest -q -p no:cacheprovider -W ignore tests/front

# it runs the program
$(BUILD)/tests/test_generator: | $(BUILD)/creel-generator

unit: $(unit_tests:%=$(BUILD)/tests/%)
	@tests/unit/run $^

fuzz-corpora: $(fuzz_tests:%=$(BUILD)/tests/fuzz_%)
	@for t in $(fuzz_tests); do $(BUILD)/tests/fuzz_$$t tests/fuzz/corpus/$$t; done >$(BUILD)/tests/fuzz.log; \
	awk '{ print } match($$0, /: [0-9]+ passed, [0-9]+ failed$$/) { passed += $$(NF - 3); failed += $$(NF - 1) } \
	     END { print passed " passed, " failed " failed"; exit failed || !passed }' $(BUILD)/tests/fuzz.log

# clang's libFuzzer instead of the replay program; what it finds stays in build/fuzz
define fuzz_rules
$$(BUILD)/fuzz/fuzz_$(1): tests/fuzz/fuzz_$(1).c $$(fuzz_$(1)_src) Makefile $$(BUILD)/flags
	$$(call say,FUZZER,$$@)
	@mkdir -p $$(@D)
	$$(Q)clang $$(all_cflags) -U_FORTIFY_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $$@ \
		$$(filter %.c,$$^) $$(shell $$(PKG_CONFIG) --libs libsystemd $$(fuzz_$(1)_libs)) $$(fuzz_$(1)_ldlibs)
endef
$(foreach t,$(fuzz_tests),$(eval $(call fuzz_rules,$(t))))

FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
FUZZ_CONNECTIONS ?= 10000
.PHONY: fuzz
fuzz: $(fuzz_tests:%=$(BUILD)/fuzz/fuzz_%) $(BUILD)/creel-sshd $(BUILD)/tests/fake-keeper
	$(Q)for t in $(fuzz_tests); do \
		mkdir -p $(BUILD)/fuzz/$$t && echo "fuzz_$$t: $(FUZZ_SECONDS) s" && \
		$(BUILD)/fuzz/fuzz_$$t -max_total_time=$(FUZZ_SECONDS) -seed=$(FUZZ_SEED) -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/fuzz/$$t- $(BUILD)/fuzz/$$t tests/fuzz/corpus/$$t 2>&1 | \
			grep -E 'number_of_executed|ERROR|SUMMARY|runtime error|Test unit written'; \
		ls $(BUILD)/fuzz/$$t-* 2>/dev/null && exit 1; \
	done; true
	$(Q)BUILD='$(abspath $(BUILD))' HAMMER_SECONDS=$(FUZZ_SECONDS) HAMMER_SEED=$(FUZZ_SEED) CONNECTIONS=$(FUZZ_CONNECTIONS) \
		/usr/bin/python3 -B -m pytest -q -s -p no:cacheprovider -W ignore tests/front/test_hammer.py \
		tests/front/test_fair.py::test_nothing_is_left_of_many_connections

help:
	@awk '!/^#/ { exit } { sub(/^# ?/, ""); print }' Makefile

clean:
	rm -rf $(BUILD)

# ---- checks of the sources -------------------------------------------------------------------------------------------
c_files = $(sort $(wildcard sshd-sub/*.[ch] shell/*.[ch] shell/*/*.[ch] shell/*/*/*.[ch] units/*.[ch] tests/*/*.[ch] tests/vm/probe/*.[ch]))
program_src = $(sort $(foreach p,$(programs) pam_creel,$($(p)_src)))
shell_scripts := shell/completion/creel.bash shell/drivers/bash-repl.sh units/quota-on units/packages-fetch tests/lint/check-flags tests/unit/run .ci/run provision/deps.sh tests/run

.PHONY: layers check-layers check-flags lint lint-format lint-c lint-shell format
# the data for check-layers
layers:
	$(foreach l,$(layers),$(info layer $(l): $(may_$(l))))
	$(foreach h,$(owned_headers),$(info owner $(h): $(owner_$(h))))
	$(info source $(program_src) $(bpf_src))
	@:

check-layers:
	$(Q)tests/lint/check-layers

# a change of flags reaches a used build folder
check-flags:
	$(Q)tests/lint/check-flags

lint: lint-format lint-shell lint-c

lint-format:
	$(call say,FORMAT,$(words $(c_files)) files)
	$(Q)clang-format --dry-run --Werror $(c_files)

lint-shell:
	$(call say,LINT,shell scripts)
	$(Q)shellcheck $(shell_scripts)
	$(Q)shellcheck -s sh provision/debian/creel.postinst provision/debian/creel.prerm provision/debian/creel.postrm
	$(Q)cd provision && shellcheck -x -P SCRIPTDIR provision.sh cloud-init config/first-boot.sh image/machine.sh image/base.sh image/cloud-tree.sh image/node.sh image/provision-tree.sh

# Both analyzers take cleanup attributes for leaks or for uses of what was never set: those checks are off here and in
# .clang-tidy, and the sanitizers' runs look for leaks instead.
analyzer := -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value
lint-c: $(program_src:%.c=$(BUILD)/lint/%.analyzed)
	$(call say,TIDY,$(words $(program_src)) files)
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $(program_src) -- $(filter-out -fcf-protection,$(all_cflags)) 2>/dev/null

$(enforce_src:%.c=$(BUILD)/lint/%.analyzed): $(bpf_src:%.c=$(BUILD)/%.o)
$(BUILD)/lint/%.analyzed: %.c Makefile
	$(call say,ANALYZE,$<)
	@mkdir -p $(@D)
	$(Q)gcc $(all_cflags) -Werror $(analyzer) -c -o $(BUILD)/lint/$*.o $<
	@touch $@

format:
	$(Q)clang-format -i $(c_files)

compile_commands.json: Makefile
	$(Q)/usr/bin/python3 -c 'import json, os, sys; c = sys.argv[1]; json.dump([{"directory": os.getcwd(), "file": f, \
		"command": c + " -c " + f} for f in sys.argv[2:]], open("$@", "w"), indent=1)' \
		'$(CC) $(subst ','\'',$(all_cflags))' $(filter %.c,$(c_files))

# ---- everything ------------------------------------------------------------------------------------------------------
# three VMs at once; not part of `make test`, whose hour is full
.PHONY: test-fleet
test-fleet: deps
	$(again) dest $(BUILD)/tests/probe
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B -m pytest -p no:cacheprovider -v --tb=short tests/fleet

.PHONY: test test-releases test-image bench bench-front bench-runs bench-confine
test: deps
	$(Q)+BUILD='$(BUILD)' tests/run

bench: deps
	$(again) dest $(BUILD)/tests/bench-confine
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B tests/bench/bench.py $(BENCH)

bench-front: deps $(BUILD)/creel-sshd $(BUILD)/tests/fake-keeper $(BUILD)/tests/delay-link
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B tests/bench/bench-front.py $(BENCH)

bench-runs: deps
	$(again) dest $(BUILD)/tests/bench-runs
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B tests/bench/bench-runs.py $(BENCH)

# stock Debian 12 and 13 by cloud-init, given back, and an agent VM again; RELEASES=debian13 for one of them
test-releases: deps
	$(again) tarball
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B -m pytest -p no:cacheprovider -c tests/releases/pytest.ini -v --tb=short \
		-k '$(or $(RELEASES),debian)' tests/releases/test_release.py

# an image that was made starts, from a BIOS and from EFI
test-image: image
	$(Q)BUILD='$(abspath $(BUILD))' RELEASE=$(RELEASE) /usr/bin/python3 -B -m pytest -p no:cacheprovider \
		-c tests/releases/pytest.ini -v --tb=short tests/releases/test_image.py

bench-confine: $(BUILD)/tests/bench-confine
	$(Q)$(BUILD)/tests/bench-confine

# ---- the agent VM: provision/vm does the work; VM=NAME names another one ------------------------------------------
vm_program = BUILD='$(abspath $(BUILD))' VM='$(VM)' /usr/bin/python3 provision/vm
again = $(Q)+$(MAKE) --no-print-directory

# a release: what provision.sh needs on a rented VM, and nothing else
.PHONY: tarball
tarball: dest node
	$(call say,TAR,$(BUILD)/creel.tar.gz)
	$(Q)tar --owner=0 --group=0 --sort=name --transform='flags=r;s|^|creel/|' -czf $(BUILD)/creel.tar.gz \
		README.md LICENSE provision/provision.sh provision/cloud-init provision/steps provision/packages provision/config \
		-C $(abspath $(BUILD))/vm dest node

# images of an agent VM for providers that take one: build/image/creel-CODENAME.qcow2 and .tar.gz
.PHONY: image
image: deps
	$(again) dest node
	$(call say,IMAGE,$(BUILD)/image/creel-$(RELEASE).qcow2)
	$(Q)provision/image/machine.sh $(BUILD)/image $(BUILD)/vm/dest $(BUILD)/vm/node $(RELEASE) >&2

# Node.js with its libraries, for a release: from npm's registry, one library is compiled
.PHONY: node
node:
	$(Q)provision/image/node.sh $(BUILD)/vm/node

# creel_VERSION_amd64.deb and its like in build/deb; built in a copy of the tree, which has the folder debian where dpkg wants it.
# The same tree gives the same bytes, whatever folder it lies in.
.PHONY: deb
deb: deps
	$(call say,DEB,$(BUILD)/deb)
	$(Q)[ "$$(dpkg-parsechangelog -l provision/debian/changelog -S Version)" = '$(VERSION)' ] || \
		{ echo 'deb: provision/debian/changelog has another version than the Makefile ($(VERSION))' >&2; exit 1; }
	$(Q)rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/creel
	$(Q)cp -a Makefile README.md LICENSE sshd-sub shell units provision docs $(BUILD)/deb/creel && mv $(BUILD)/deb/creel/provision/debian $(BUILD)/deb/creel/
	$(Q)find $(BUILD)/deb/creel -name __pycache__ -prune -exec rm -r {} +
	$(Q)cd $(BUILD)/deb/creel && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u BUILD -u PREFIX -u DESTDIR DEB_BUILD_OPTIONS='parallel=2 nocheck' \
		PATH='/usr/sbin:/usr/bin:/sbin:/bin' dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -n 25 ../build.log >&2; exit 1; }
	$(Q)rm -r $(BUILD)/deb/creel && ls $(BUILD)/deb/*.deb

.PHONY: check-deb
check-deb: deb all
	$(Q)BUILD='$(abspath $(BUILD))' /usr/bin/python3 -B -m pytest -q -p no:cacheprovider -W ignore tests/deb

.PHONY: deps dest vm up down push ssh console
deps:
	$(Q)provision/deps.sh

# what goes into the VM; complete or not there
dest: all
	$(Q)rm -rf $(BUILD)/vm/dest.new
	$(again) -s install PREFIX=/usr DESTDIR=$(BUILD)/vm/dest.new
	$(Q)rm -rf $(BUILD)/vm/dest && mv $(BUILD)/vm/dest.new $(BUILD)/vm/dest

vm up: deps
	$(again) dest
	$(Q)$(vm_program) $(if $(filter up,$@),up,build)

push: dest
	$(Q)$(vm_program) push

ssh down console:
	$(Q)$(vm_program) $@
