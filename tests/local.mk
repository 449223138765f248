# The tests. This file is included by the top Makefile.am; paths are the top's.

# pop3-player plays scripted dialogues, or serves a Maildir. It is no test, and
# shares no code with what it tests.
check_PROGRAMS = pop3-player
pop3_player_SOURCES = \
	tests/server/box.c \
	tests/server/box.h \
	tests/server/ca.c \
	tests/server/ca.h \
	tests/server/note.c \
	tests/server/note.h \
	tests/server/play.c \
	tests/server/play.h \
	tests/server/player.c \
	tests/server/pop3d.c \
	tests/server/pop3d.h \
	tests/server/script.c \
	tests/server/script.h \
	tests/server/serve.c \
	tests/server/serve.h \
	tests/server/stuff.c \
	tests/server/stuff.h \
	tests/server/wire.c \
	tests/server/wire.h
pop3_player_LDADD = $(OPENSSL_LIBS)

# A program below without _SOURCES is made of the one file of its name.
LDADD = \
	libtestkit.a libfuzzkit.a libmailhaul.a $(CHECK_LIBS) \
	$(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(SYSTEMD_LIBS) $(SQLITE_LIBS) $(SECCOMP_LIBS)

# What unit tests share: scripted peers, scratch directories.
check_LIBRARIES = libtestkit.a
libtestkit_a_SOURCES = \
	tests/unit/logged.c \
	tests/unit/logged.h \
	tests/unit/peer.c \
	tests/unit/peer.h \
	tests/unit/scratch.c \
	tests/unit/scratch.h

# What looks for violations must find some where safeguards are missing: these
# can leave them out, as src/safeguard.h says. They are sources of a program and
# no library: what stands in libmailhaul.a too would be taken from there.
weakened_sources = \
	src/delivery.c \
	src/journal_open.c \
	src/maildir.c \
	src/recover.c \
	tests/weakened/safeguard.c
check_PROGRAMS += mailhaul-weakened
mailhaul_weakened_CPPFLAGS = $(AM_CPPFLAGS) -DWEAKENED
mailhaul_weakened_SOURCES = src/main.c $(weakened_sources)
mailhaul_weakened_LDADD = \
	libmailhaul.a \
	$(OPENSSL_LIBS) $(LIBCONFIG_LIBS) $(SYSTEMD_LIBS) $(SQLITE_LIBS) $(SECCOMP_LIBS)

# A worker that was taken over: its session tries to break out.
check_PROGRAMS += mailhaul-escapee
mailhaul_escapee_SOURCES = src/main.c tests/escape/session.c
mailhaul_escapee_LDADD = $(mailhaul_weakened_LDADD)

# Another, which lies to the supervisor.
check_PROGRAMS += mailhaul-liar
mailhaul_liar_SOURCES = src/main.c tests/escape/liar.c
mailhaul_liar_LDADD = $(mailhaul_weakened_LDADD)

# Histories in a model world: its disk and its server stand below the real code.
simulation_sources = \
	tests/simulation/calls.c \
	tests/simulation/calls.h \
	tests/simulation/disk.c \
	tests/simulation/disk.h \
	tests/simulation/history.c \
	tests/simulation/history.h \
	tests/simulation/mailstore.c \
	tests/simulation/mailstore.h \
	tests/simulation/promises.c \
	tests/simulation/promises.h \
	tests/simulation/server.c \
	tests/simulation/server.h \
	tests/simulation/simulate.c \
	tests/simulation/stream.c \
	tests/simulation/vfs.c \
	tests/simulation/vfs.h \
	tests/simulation/world.c \
	tests/simulation/world.h
simulation_wraps = \
	-Wl,--wrap=open,--wrap=openat,--wrap=close,--wrap=fcntl \
	-Wl,--wrap=fstat,--wrap=fstatat,--wrap=fstatvfs,--wrap=faccessat \
	-Wl,--wrap=fsync,--wrap=ftruncate,--wrap=sync_file_range \
	-Wl,--wrap=write,--wrap=pread,--wrap=pwrite,--wrap=mkdir,--wrap=mkdirat,--wrap=fchmodat \
	-Wl,--wrap=linkat,--wrap=unlinkat,--wrap=renameat2 \
	-Wl,--wrap=fdopendir,--wrap=readdir,--wrap=closedir,--wrap=dirfd \
	-Wl,--wrap=gethostname,--wrap=getpid,--wrap=getrandom \
	-Wl,--wrap=clock_gettime,--wrap=syscall
check_PROGRAMS += \
	tests/simulation/simulate \
	tests/simulation/simulate-weakened
tests_simulation_simulate_SOURCES = $(simulation_sources)
tests_simulation_simulate_LDFLAGS = $(AM_LDFLAGS) $(simulation_wraps)
tests_simulation_simulate_LDADD = libmailhaul.a $(OPENSSL_LIBS) $(SQLITE_LIBS) $(SECCOMP_LIBS)
tests_simulation_simulate_weakened_CPPFLAGS = $(AM_CPPFLAGS) -DWEAKENED
tests_simulation_simulate_weakened_SOURCES = \
	$(simulation_sources) $(weakened_sources)
tests_simulation_simulate_weakened_LDFLAGS = \
	$(AM_LDFLAGS) $(simulation_wraps)
tests_simulation_simulate_weakened_LDADD = \
	libmailhaul.a $(OPENSSL_LIBS) $(SQLITE_LIBS) $(SECCOMP_LIBS)

unit_tests = \
	tests/unit/test-account \
	tests/unit/test-capa-memory \
	tests/unit/test-config \
	tests/unit/test-delivery \
	tests/unit/test-dial \
	tests/unit/test-digest \
	tests/unit/test-dispatch \
	tests/unit/test-error \
	tests/unit/test-fetch \
	tests/unit/test-flush \
	tests/unit/test-journal \
	tests/unit/test-known \
	tests/unit/test-listing \
	tests/unit/test-log \
	tests/unit/test-login \
	tests/unit/test-maildir \
	tests/unit/test-notes \
	tests/unit/test-option \
	tests/unit/test-plan \
	tests/unit/test-pop3 \
	tests/unit/test-pop3-parse \
	tests/unit/test-recover \
	tests/unit/test-report \
	tests/unit/test-roster \
	tests/unit/test-sasl \
	tests/unit/test-schedule \
	tests/unit/test-secret \
	tests/unit/test-session \
	tests/unit/test-source \
	tests/unit/test-state-dir \
	tests/unit/test-status \
	tests/unit/test-stream \
	tests/unit/test-supervisor \
	tests/unit/test-text \
	tests/unit/test-tls \
	tests/unit/test-trusts \
	tests/unit/test-uplink \
	tests/unit/test-visit \
	tests/unit/test-worker

# What fuzz targets share.
check_LIBRARIES += libfuzzkit.a
libfuzzkit_a_SOURCES = \
	tests/fuzz/dialogue.c \
	tests/fuzz/dialogue.h \
	tests/fuzz/fuzz.h \
	tests/fuzz/place.c \
	tests/fuzz/place.h \
	tests/fuzz/server.c \
	tests/fuzz/server.h \
	tests/fuzz/simple_dot.c \
	tests/fuzz/simple_dot.h

fuzz_tests = tests/fuzz/replay-all
fuzz_replays = \
	tests/fuzz/replay-capa-memory \
	tests/fuzz/replay-config \
	tests/fuzz/replay-digest \
	tests/fuzz/replay-dot \
	tests/fuzz/replay-listing \
	tests/fuzz/replay-pop3-parse \
	tests/fuzz/replay-report \
	tests/fuzz/replay-sasl \
	tests/fuzz/replay-text \
	tests/fuzz/replay-visit
tests_fuzz_replay_capa_memory_SOURCES = tests/fuzz/fuzz-capa-memory.c tests/fuzz/replay.c
tests_fuzz_replay_config_SOURCES = tests/fuzz/fuzz-config.c tests/fuzz/replay.c
tests_fuzz_replay_digest_SOURCES = tests/fuzz/fuzz-digest.c tests/fuzz/replay.c
tests_fuzz_replay_dot_SOURCES = tests/fuzz/fuzz-dot.c tests/fuzz/replay.c
tests_fuzz_replay_listing_SOURCES = tests/fuzz/fuzz-listing.c tests/fuzz/replay.c
tests_fuzz_replay_pop3_parse_SOURCES = tests/fuzz/fuzz-pop3-parse.c tests/fuzz/replay.c
tests_fuzz_replay_report_SOURCES = tests/fuzz/fuzz-report.c tests/fuzz/replay.c
tests_fuzz_replay_sasl_SOURCES = tests/fuzz/fuzz-sasl.c tests/fuzz/replay.c
tests_fuzz_replay_text_SOURCES = tests/fuzz/fuzz-text.c tests/fuzz/replay.c
tests_fuzz_replay_visit_SOURCES = tests/fuzz/fuzz-visit.c tests/fuzz/replay.c

property_tests = tests/property/framing

system_tests = \
	tests/system/scenarios \
	tests/system/includes \
	tests/system/dovecot-interop \
	tests/system/interop \
	tests/system/dovecot-bulk \
	tests/system/journal-lost \
	tests/system/journal-sweep \
	tests/system/kill \
	tests/system/durability \
	tests/system/busy \
	tests/system/messages \
	tests/system/clear-link \
	tests/system/daemon \
	tests/system/memory \
	tests/system/same-state \
	tests/system/descriptors \
	tests/system/secrets \
	tests/system/users \
	tests/system/crash-sweep \
	tests/system/cut-sweep \
	tests/system/lying-quit \
	tests/system/error-sweep \
	tests/system/escape \
	tests/system/hostile \
	tests/system/systemd \
	tests/system/liar \
	tests/system/races \
	tests/system/power-cut \
	tests/system/broken-lines \
	tests/system/simulation \
	tests/system/delay-line \
	tests/system/round-trips \
	tests/system/install
system_helpers = \
	tests/system/corpus \
	tests/system/faults.so \
	tests/system/hostile-server \
	tests/system/journal-rows \
	tests/system/memory-find \
	tests/system/notify-listen \
	tests/system/swapper

# To be preloaded.
tests_system_faults_so_SOURCES = tests/system/faults.c
tests_system_faults_so_CFLAGS = $(AM_CFLAGS) -fPIC
tests_system_faults_so_LDFLAGS = -shared
tests_system_faults_so_LDADD =

# For the measurements.
bench_programs = tests/bench/delay-line tests/bench/drain tests/bench/store
tests_bench_delay_line_LDADD =
tests_bench_drain_LDADD = $(OPENSSL_LIBS)
tests_bench_store_LDADD = libmailhaul.a

check_PROGRAMS += $(fuzz_replays) $(system_helpers) $(property_tests) $(bench_programs)
TESTS = $(fuzz_tests) $(property_tests) $(system_tests)
if HAVE_CHECK
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif

# Under clang, with --enable-fuzzing: make fuzzers
fuzzers = \
	tests/fuzz/fuzz-capa-memory \
	tests/fuzz/fuzz-config \
	tests/fuzz/fuzz-digest \
	tests/fuzz/fuzz-dot \
	tests/fuzz/fuzz-listing \
	tests/fuzz/fuzz-pop3-parse \
	tests/fuzz/fuzz-report \
	tests/fuzz/fuzz-sasl \
	tests/fuzz/fuzz-text \
	tests/fuzz/fuzz-visit
EXTRA_PROGRAMS = $(fuzzers)
tests_fuzz_fuzz_capa_memory_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_config_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_digest_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_dot_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_listing_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_pop3_parse_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_report_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_sasl_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_text_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_visit_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
fuzzers: $(fuzzers)

# And each finds a bug that is put there.
planted-bugs: $(fuzzers)
	@srcdir='$(abs_srcdir)' LIBS='$(LDADD)' \
		$(srcdir)/tests/fuzz/planted $(COMPILE) $(AM_LDFLAGS)

# What a change to the code can break, in half the time.
check-quick:
	$(MAKE) check TESTS="$(unit_tests) $(fuzz_tests) $(property_tests) tests/system/scenarios"

# A million histories; on two processors a quarter of an hour or so.
SOAK_HISTORIES = 1000000
SOAK_FROM = 1
soak: tests/simulation/simulate$(EXEEXT)
	tests/simulation/simulate$(EXEEXT) --jobs "$$(nproc)" \
		--histories $(SOAK_HISTORIES) --from $(SOAK_FROM)
.PHONY: soak

# Every power cut of everything, of which "make check" takes a sample; or of
# what matches the pattern MAILHAUL_POWER.
power-cut: mailhaul$(EXEEXT) mailhaul-weakened$(EXEEXT) pop3-player$(EXEEXT)
	@srcdir='$(abs_srcdir)' MAILHAUL='$(abs_builddir)/mailhaul' \
	POP3_PLAYER='$(abs_builddir)/pop3-player' \
	MAILHAUL_POWER="$${MAILHAUL_POWER:-all}" \
	$(srcdir)/tests/system/power-cut
.PHONY: check-quick fuzzers planted-bugs power-cut

# Side by side with other programs, as tests/bench/README.md says; BENCH is what
# to measure and how.
BENCH =
bench: mailhaul$(EXEEXT) pop3-player$(EXEEXT) $(bench_programs)
	$(srcdir)/tests/bench/run --build '$(abs_builddir)' $(BENCH)
.PHONY: bench

dist_noinst_SCRIPTS += tests/bounded $(fuzz_tests) $(system_tests) tests/system/demo \
	tests/system/install-servers tests/bench/run tests/fuzz/coverage tests/fuzz/planted
EXTRA_DIST = tests/fuzz/corpus
dist_noinst_DATA += \
	tests/bench/README.md \
	tests/bench/measure.py \
	tests/bench/place.py \
	tests/bench/plot.py \
	tests/bench/programs.py \
	tests/bench/report.py \
	tests/bench/results/figures.md \
	tests/bench/results/figures.svg \
	tests/bench/scenarios.py \
	tests/power/logdisk.c \
	tests/scripts/README.md \
	tests/sample/1-welcome.eml \
	tests/sample/2-umlauts.eml \
	tests/sample/3-report.eml \
	tests/system/boot \
	tests/system/checker \
	tests/system/layers.txt \
	tests/system/lib.sh \
	tests/system/sweep.sh \
	tests/system/servers.sh

dist_noinst_DATA += \
	tests/scripts/apop-and-pass-refused.pop3 \
	tests/scripts/apop-demanded.pop3 \
	tests/scripts/apop-malformed-timestamp.pop3 \
	tests/scripts/apop-refused-closed.pop3 \
	tests/scripts/apop-refused.pop3 \
	tests/scripts/apop.pop3 \
	tests/scripts/auth-plain-long.pop3 \
	tests/scripts/broken-message-goes-last.pop3 \
	tests/scripts/bytes-split.pop3 \
	tests/scripts/bytes.pop3 \
	tests/scripts/capa-cut.pop3 \
	tests/scripts/capa-endless-line.pop3 \
	tests/scripts/capa-endless.pop3 \
	tests/scripts/capa-hang-remembered.pop3 \
	tests/scripts/capa-hang.pop3 \
	tests/scripts/capa-odd.pop3 \
	tests/scripts/capa-unknown.pop3 \
	tests/scripts/cut-between-messages.pop3 \
	tests/scripts/cut-in-message.pop3 \
	tests/scripts/dele-cut.pop3 \
	tests/scripts/dele-endless-line.pop3 \
	tests/scripts/dele-refused-of-many.pop3 \
	tests/scripts/dele-refused.pop3 \
	tests/scripts/dots.pop3 \
	tests/scripts/echoed-auth-plain.pop3 \
	tests/scripts/echoed-line.pop3 \
	tests/scripts/echoed-pass.pop3 \
	tests/scripts/empty-message.pop3 \
	tests/scripts/greeting-busy.pop3 \
	tests/scripts/greeting-cut.pop3 \
	tests/scripts/greeting-endless.pop3 \
	tests/scripts/greeting-err.pop3 \
	tests/scripts/greeting-garbage.pop3 \
	tests/scripts/greeting-half.pop3 \
	tests/scripts/greeting-hang.pop3 \
	tests/scripts/greeting-long.pop3 \
	tests/scripts/greeting-reset.pop3 \
	tests/scripts/hang-at-retr.pop3 \
	tests/scripts/hang-in-message.pop3 \
	tests/scripts/headerless-message.pop3 \
	tests/scripts/hostile-text-apop.pop3 \
	tests/scripts/hostile-text-auth.pop3 \
	tests/scripts/hostile-text-dele.pop3 \
	tests/scripts/hostile-text-greeting.pop3 \
	tests/scripts/hostile-text-list.pop3 \
	tests/scripts/hostile-text-no-status.pop3 \
	tests/scripts/hostile-text-quit.pop3 \
	tests/scripts/hostile-text-retr.pop3 \
	tests/scripts/hostile-text-stls.pop3 \
	tests/scripts/hostile-text-uid.pop3 \
	tests/scripts/hostile-text-uidl.pop3 \
	tests/scripts/hostile-text-user.pop3 \
	tests/scripts/hostile-text.pop3 \
	tests/scripts/huge-line.pop3 \
	tests/scripts/in-use-in-words.pop3 \
	tests/scripts/in-use.pop3 \
	tests/scripts/keep-forever.pop3 \
	tests/scripts/keep-then-delete.pop3 \
	tests/scripts/keep-without-uidl.pop3 \
	tests/scripts/known-server-auth-challenge.pop3 \
	tests/scripts/known-server-auth-gone.pop3 \
	tests/scripts/known-server-auth-hangs-up.pop3 \
	tests/scripts/known-server-capa-hangs-up.pop3 \
	tests/scripts/known-server-other-tls.pop3 \
	tests/scripts/known-server-password-refused.pop3 \
	tests/scripts/known-server-pipelining-gone.pop3 \
	tests/scripts/known-server-pipelining-not-offered.pop3 \
	tests/scripts/known-server-starttls-gone.pop3 \
	tests/scripts/known-server-starttls.pop3 \
	tests/scripts/known-server-uidl-refused-kept.pop3 \
	tests/scripts/known-server-without-capa.pop3 \
	tests/scripts/known-server-without-pipelining.pop3 \
	tests/scripts/known-server.pop3 \
	tests/scripts/last-crlf-missing.pop3 \
	tests/scripts/last-line-runs-into-dot.pop3 \
	tests/scripts/lf-body-alone.pop3 \
	tests/scripts/lf-dot-then-crlf.pop3 \
	tests/scripts/lf-only-bytes.pop3 \
	tests/scripts/lf-only.pop3 \
	tests/scripts/lf-status-alone.pop3 \
	tests/scripts/list-bad-scan-lines.pop3 \
	tests/scripts/list-empty.pop3 \
	tests/scripts/list-endless-line.pop3 \
	tests/scripts/list-endless-slow.pop3 \
	tests/scripts/list-endless.pop3 \
	tests/scripts/list-gaps.pop3 \
	tests/scripts/list-hang.pop3 \
	tests/scripts/list-refused.pop3 \
	tests/scripts/listed-size-changed.pop3 \
	tests/scripts/listing-empty-once.pop3 \
	tests/scripts/lists-disagree.pop3 \
	tests/scripts/login-cut.pop3 \
	tests/scripts/login-delay.pop3 \
	tests/scripts/login-hang.pop3 \
	tests/scripts/long-line.pop3 \
	tests/scripts/long-text.pop3 \
	tests/scripts/lookalikes-lf.pop3 \
	tests/scripts/lookalikes.pop3 \
	tests/scripts/maildir-missing.pop3 \
	tests/scripts/many-messages.pop3 \
	tests/scripts/message-endless.pop3 \
	tests/scripts/message-larger-than-listed.pop3 \
	tests/scripts/messages-reordered.pop3 \
	tests/scripts/new-mail-between-visits.pop3 \
	tests/scripts/no-uidl-quit-lies.pop3 \
	tests/scripts/no-uidl.pop3 \
	tests/scripts/numbers-beyond.pop3 \
	tests/scripts/one-command-at-a-time.pop3 \
	tests/scripts/ordinary.pop3 \
	tests/scripts/pass-endless-line.pop3 \
	tests/scripts/password-refused.pop3 \
	tests/scripts/plain-demanded.pop3 \
	tests/scripts/plain-refused.pop3 \
	tests/scripts/plus-err.pop3 \
	tests/scripts/quit-cut.pop3 \
	tests/scripts/quit-endless-line.pop3 \
	tests/scripts/quit-halfway.pop3 \
	tests/scripts/quit-lies.pop3 \
	tests/scripts/quit-refused.pop3 \
	tests/scripts/quit-unanswered-ignored.pop3 \
	tests/scripts/quit-unanswered.pop3 \
	tests/scripts/quit-with-deles.pop3 \
	tests/scripts/replica-older-view.pop3 \
	tests/scripts/reset-in-message.pop3 \
	tests/scripts/retr-endless-line.pop3 \
	tests/scripts/retr-garbage.pop3 \
	tests/scripts/retr-refused-always.pop3 \
	tests/scripts/retr-refused-too-often.pop3 \
	tests/scripts/retr-refused.pop3 \
	tests/scripts/retrieved-mail-hidden.pop3 \
	tests/scripts/sizes-negative.pop3 \
	tests/scripts/sizes-wrong-noop-refused.pop3 \
	tests/scripts/sizes-wrong-uidl-malformed.pop3 \
	tests/scripts/sizes-wrong-uidl-short.pop3 \
	tests/scripts/sizes-wrong.pop3 \
	tests/scripts/slow-login.pop3 \
	tests/scripts/split-everywhere-lf.pop3 \
	tests/scripts/split-everywhere.pop3 \
	tests/scripts/starttls-authenticated-already.pop3 \
	tests/scripts/starttls-capa-forgotten.pop3 \
	tests/scripts/starttls-closed.pop3 \
	tests/scripts/starttls-expired.pop3 \
	tests/scripts/starttls-hang.pop3 \
	tests/scripts/starttls-injected-at-lf.pop3 \
	tests/scripts/starttls-injected-bytes.pop3 \
	tests/scripts/starttls-injected-bytewise.pop3 \
	tests/scripts/starttls-injected-in-status.pop3 \
	tests/scripts/starttls-injected-later.pop3 \
	tests/scripts/starttls-injected-reply.pop3 \
	tests/scripts/starttls-missing.pop3 \
	tests/scripts/starttls-other-mechanisms.pop3 \
	tests/scripts/starttls-plaintext.pop3 \
	tests/scripts/starttls-refused-injected.pop3 \
	tests/scripts/starttls-refused-without-capa.pop3 \
	tests/scripts/starttls-refused.pop3 \
	tests/scripts/starttls-selfsigned.pop3 \
	tests/scripts/starttls-timestamp-forgotten.pop3 \
	tests/scripts/starttls-two-greetings.pop3 \
	tests/scripts/starttls-without-capa.pop3 \
	tests/scripts/starttls-wrong-name.pop3 \
	tests/scripts/starttls.pop3 \
	tests/scripts/stat-lies.pop3 \
	tests/scripts/sys-temp-in-words.pop3 \
	tests/scripts/sys-temp.pop3 \
	tests/scripts/term-in-small-messages.pop3 \
	tests/scripts/term-in-stuck-message.pop3 \
	tests/scripts/terminator-missing.pop3 \
	tests/scripts/terminator-without-lf-cut.pop3 \
	tests/scripts/terminator-without-lf-in-doubt.pop3 \
	tests/scripts/terminator-without-lf-short.pop3 \
	tests/scripts/terminator-without-lf.pop3 \
	tests/scripts/tls-cut-without-goodbye.pop3 \
	tests/scripts/tls-expired.pop3 \
	tests/scripts/tls-hang-in-record.pop3 \
	tests/scripts/tls-implicit.pop3 \
	tests/scripts/tls-quit-without-goodbye.pop3 \
	tests/scripts/tls-selfsigned.pop3 \
	tests/scripts/tls-wrong-name.pop3 \
	tests/scripts/uid-after-blanks.pop3 \
	tests/scripts/uid-all-change-cut.pop3 \
	tests/scripts/uid-all-change-quit-lost.pop3 \
	tests/scripts/uid-all-change.pop3 \
	tests/scripts/uid-comes-back.pop3 \
	tests/scripts/uid-duplicates-kept.pop3 \
	tests/scripts/uid-duplicates-one-gone.pop3 \
	tests/scripts/uid-duplicates.pop3 \
	tests/scripts/uid-empty-kept.pop3 \
	tests/scripts/uid-empty.pop3 \
	tests/scripts/uid-odd.pop3 \
	tests/scripts/uid-over-1k.pop3 \
	tests/scripts/uid-reused-at-once.pop3 \
	tests/scripts/uid-reused.pop3 \
	tests/scripts/uid-with-nul.pop3 \
	tests/scripts/uidl-bad-lines.pop3 \
	tests/scripts/uidl-comes-late.pop3 \
	tests/scripts/uidl-endless-deadline.pop3 \
	tests/scripts/uidl-endless-line.pop3 \
	tests/scripts/uidl-longer-than-list.pop3 \
	tests/scripts/uidl-not-in-capa.pop3 \
	tests/scripts/uidl-number-twice.pop3 \
	tests/scripts/uidl-refused-once-kept.pop3 \
	tests/scripts/uidl-refused.pop3 \
	tests/scripts/uidl-shorter-than-list.pop3 \
	tests/scripts/uidl-wrong-numbers.pop3 \
	tests/scripts/uids-shift.pop3 \
	tests/scripts/unstuffed-dot-after-good-mail.pop3 \
	tests/scripts/unstuffed-dot-alone.pop3 \
	tests/scripts/unstuffed-dot-forged-lf.pop3 \
	tests/scripts/unstuffed-dot-forged-sizes.pop3 \
	tests/scripts/unstuffed-dot-goes-last-pipelined.pop3 \
	tests/scripts/unstuffed-dot-goes-last.pop3 \
	tests/scripts/unstuffed-dot-in-pieces.pop3 \
	tests/scripts/unstuffed-dot-in-records.pop3 \
	tests/scripts/unstuffed-dot-slow.pop3 \
	tests/scripts/unstuffed-dot-without-pipelining.pop3 \
	tests/scripts/unstuffed-dot.pop3 \
	tests/scripts/unstuffed-dots-everywhere.pop3 \
	tests/scripts/user-demanded.pop3 \
	tests/scripts/user-pass-not-pipelined.pop3 \
	tests/scripts/user-refused.pop3 \
	tests/scripts/visit-deadline.pop3

# 10,000 accounts under one supervisor; as root.
dist_noinst_SCRIPTS += tests/bench/many
