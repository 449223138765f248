# shellcheck shell=bash
# shellcheck disable=SC2034 # variables that the tests read
#
# lib.sh - what the system tests share: TAP, waiting, scratch space, Dovecot,
# mailhaul and the ways to look at both.
#
# A test program sources it and runs in a scratch directory $T of its own that
# goes away with it, together with every process that it started. mailhaul
# and Dovecot run as the user who runs the tests, or, when that is root, as
# nobody: never on the real configuration or state. Nothing here sleeps for a
# fixed time; until_ok waits for an event, within a bound.
#
# Set before sourcing:
#   PRIVATE   what unshare(1) shall make private when root runs the test, as
#             "--mount --net"; is_private tells whether it could.
# In the environment:
#   MAILHAUL  the binary under test, ./mailhaul by default
#   POP3_PLAYER  makes the certificates, ./pop3-player by default
#   KEEP      not empty: leave the scratch directory for a look

set -u
export LC_ALL=C
umask 022
HERE=$(cd "${0%/*}" && pwd)
PASSWORD=open-sesame-7531

is_root()
{
	[ "$(id -u)" = 0 ]
}

is_private()
{
	[ -n "${IS_PRIVATE:-}" ]
}

# shellcheck disable=SC2086 # PRIVATE is a list of options
if [ -n "${PRIVATE:-}" ] && is_root && ! is_private &&
	unshare $PRIVATE true 2>/dev/null; then
	IS_PRIVATE=1 exec unshare $PRIVATE -- "$0" "$@"
fi

# --- TAP --------------------------------------------------------------------

tap_number=0

plan()
{
	echo "1..$1"
}

skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

bail_out()
{
	echo "Bail out! $1"
	exit 1
}

# ok SENTENCE COMMAND... - one test point; it holds when the command succeeds.
ok()
{
	local sentence=$1
	shift

	tap_number=$((tap_number + 1))
	if "$@" >"$T/output" 2>&1; then
		echo "ok $tap_number - $sentence"
		return 0
	fi
	echo "not ok $tap_number - $sentence"
	echo "# failed: $*" | head -n 5 | cut -c 1-300
	explain "$T/output" "$T/log" "$T/daemon.log"
}

# What the last lines of the files say, as TAP comments.
explain()
{
	local file

	for file; do
		[ -s "$file" ] || continue
		echo "# ${file##*/}:"
		tail -n 12 "$file" | tr -d '\000' | cut -c 1-400 | sed 's/^/#   /'
	done
}

# skip COUNT REASON - so many test points are not run, and why.
skip()
{
	local i

	for ((i = 0; i < $1; i++)); do
		tap_number=$((tap_number + 1))
		echo "ok $tap_number # SKIP $2"
	done
}

# --- waiting ----------------------------------------------------------------

# until_ok SECONDS COMMAND... - until the command succeeds; fails at the bound,
# which is meant for a machine at rest: a busy one has four times as long.
until_ok()
{
	local end=$((SECONDS + $1 * 4 + 1))
	shift

	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.03
	done
}

# Zombies are not alive: init may be slow to reap what a killed parent left.
is_alive()
{
	local stat

	stat=$(cat "/proc/${1:-none}/stat" 2>/dev/null) || return 1
	[[ ${stat##*) } != [ZX]* ]]
}

is_gone()
{
	! is_alive "$1"
}

# are_gone PID... - all of them; false when there is none to speak of.
are_gone()
{
	local pid

	[ $# -gt 0 ] || return 1
	for pid; do
		is_gone "$pid" || return 1
	done
}

is()
{
	[ "$1" = "$2" ] || { echo "is '$1', should be '$2'"; return 1; }
}

at_least()
{
	[ "$1" -ge "$2" ] || { echo "is $1, should be at least $2"; return 1; }
}

at_most()
{
	[ "$1" -le "$2" ] || { echo "is $1, should be at most $2"; return 1; }
}

# has FILE PATTERN - some line matches; when none does, they are shown.
has()
{
	grep -E -q -e "$2" "$1" || { echo "no line matches: $2"; cat "$1"; return 1; }
}

# The same without a word, to wait for.
has_line()
{
	grep -E -q -e "$2" "$1"
}

has_not()
{
	! grep -E -a -e "$2" "$1"
}

# --- scratch space, processes -----------------------------------------------

T=$(mktemp -d "${TMPDIR:-/tmp}/mailhaul.XXXXXX") || exit 1
declare -A BEGUN=() # the processes to end, by pid, and when each began

# In clock ticks since boot: tells a process from a later one with its number.
begun_at()
{
	local stat fields

	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -r -a fields <<<"${stat##*) }"
	echo "${fields[19]:-}"
}

# to_end PID - it ends with this test at the latest.
to_end()
{
	BEGUN[$1]=$(begun_at "$1")
}

is_left()
{
	is_alive "$1" && [ "$(begun_at "$1")" = "${BEGUN[$1]}" ]
}

is_not_left()
{
	! is_left "$1"
}

clean_up()
{
	local pid

	for pid in "${!BEGUN[@]}"; do
		is_left "$pid" && kill -TERM "$pid" && kill -CONT "$pid" 2>/dev/null
	done
	for pid in "${!BEGUN[@]}"; do
		until_ok 10 is_not_left "$pid" || kill -KILL "$pid"
	done
	[ -n "${KEEP:-}" ] && echo "# kept: $T" && return
	rm -rf "$T"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# Whom mailhaul and Dovecot run as, and the prefix that makes it so.
if is_root; then
	TEST_UID=65534 TEST_GID=65534
	AS=(setpriv --reuid "$TEST_UID" --regid "$TEST_GID" --clear-groups --)
else
	TEST_UID=$(id -u) TEST_GID=$(id -g)
	AS=()
fi
TEST_USER=$(id -un "$TEST_UID")

chmod 0711 "$T"
mkdir "$T/bin" "$T/home" "$T/originals" "$T/store"
chown "$TEST_UID:$TEST_GID" "$T/home" "$T/originals" "$T/store"
chmod 0700 "$T/home"
: >"$T/log"
: >"$T/daemon.log"

# The build tree may lie where nobody may not look.
copy_program()
{
	cp "$1" "$T/bin/$2" 2>/dev/null || bail_out "$1 is missing: build it first"
}

needs_mailhaul()
{
	copy_program "${MAILHAUL:-$PWD/mailhaul}" mailhaul
	BIN=$T/bin/mailhaul
}

# Built with AddressSanitizer, whose own memory hides ours.
is_sanitized()
{
	grep -q __asan_init "$BIN"
}

# helper NAME [CC_ARGUMENT...] - builds our small C programs, unless the build
# did, into $T/bin; NAME.so is one to be preloaded.
helper()
{
	local dir

	for dir in "$PWD" "$PWD/tests/system"; do
		[ -x "$dir/$1" ] && cp "$dir/$1" "$T/bin/$1" && return
	done
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -O2 -I"$HERE/../../src" \
		-o "$T/bin/$1" "$HERE/${1%.so}.c" "${@:2}" ||
		bail_out "$1 cannot be compiled"
}

make_certificates()
{
	[ -d "$T/ca" ] && return
	"${POP3_PLAYER:-$PWD/pop3-player}" ca "$T/ca" >"$T/output" 2>&1 ||
		bail_out "pop3-player cannot make certificates: $(tail -n 1 "$T/output")"
	chmod -R a+rX "$T/ca"
}

# --- mail -------------------------------------------------------------------

# make_mail SET COUNT MEDIAN_BYTES - originals in $T/originals/SET, a number.
make_mail()
{
	[ -x "$T/bin/corpus" ] || helper corpus
	"${AS[@]}" mkdir "$T/originals/$1"
	"${AS[@]}" "$T/bin/corpus" "$T/originals/$1" "$2" "$3" "$1" nul ||
		bail_out "no test mail"
}

# stock USER SET - the server has these messages for the user.
stock()
{
	"${AS[@]}" mkdir -p "$T/store/$1/cur" "$T/store/$1/new" "$T/store/$1/tmp"
	"${AS[@]}" cp -al "$T/originals/$2/." "$T/store/$1/new/"
}

count_files()
{
	find "$@" -type f 2>/dev/null | wc -l
}

# How many messages the server still has for USER.
on_server()
{
	count_files "$T/store/$1/new" "$T/store/$1/cur"
}

is_on_server()
{
	is "$(on_server "$1")" "$2"
}

maildir()
{
	echo "$T/home/mail/$1"
}

delivered()
{
	count_files "$(maildir "$1")/new"
}

has_delivered()
{
	[ "$(delivered "$1")" -ge "$2" ]
}

# same SET ACCOUNT - its Maildir holds the originals, each once, unchanged.
same()
{
	"$HERE/checker" "$T/originals/$1" "$(maildir "$2")"
}

# --- Dovecot ----------------------------------------------------------------

needs_dovecot()
{
	PATH=$PATH:/usr/sbin
	command -v dovecot >/dev/null || skip_all "dovecot is not installed"
	[ -x /usr/lib/dovecot/pop3 ] || skip_all "dovecot-pop3d is not installed"
}

# dovecot_start NAME [CERTIFICATE] - a server for $T/store in $T/NAME, always
# with the password $PASSWORD. Sets $D to its directory, $POP3 and $POP3S to
# its ports. What callers may set before: DOVECOT_EXTRA, lines of
# configuration; DOVECOT_LISTEN, its address; RAWLOG, not empty: transcripts.
dovecot_start()
{
	local try

	make_certificates
	D=$T/$1
	mkdir "$D" "$D/run" "$D/state" "$D/before" "$D/after"
	cp "$T/ca/${2:-good}.pem" "$D/cert.pem"
	cp "$T/ca/${2:-good}.key" "$D/cert.key"
	: >"$D/log"
	for ((try = 0; try < 20; try++)); do
		POP3=$((20000 + RANDOM % 12000))
		POP3S=$((POP3 + 1))
		dovecot_configuration >"$D/dovecot.conf"
		chown -R "$TEST_UID:$TEST_GID" "$D"
		dovecot_launch && return
	done
	explain "$D/log"
	bail_out "dovecot does not start"
}

dovecot_launch()
{
	"${NETWORK[@]}" "${AS[@]}" dovecot -c "$D/dovecot.conf" -F >>"$D/output" 2>&1 &
	DOVECOT=$!
	until_ok 10 dovecot_is_decided || return 1
	is_alive "$DOVECOT" || return 1
	to_end "$DOVECOT"
}

# It listens, or it has given up: mostly because a port is taken.
dovecot_is_decided()
{
	grep -q 'starting up' "$D/log" || is_gone "$DOVECOT"
}

# For $DOVECOT_PASSWORD: such a server offers APOP and must then refuse it.
hashed_password()
{
	printf '{PLAIN-MD5}%s' "$(printf %s "$PASSWORD" | md5sum | cut -c 1-32)"
}

NETWORK=() # a prefix, for a server in another network namespace

dovecot_configuration()
{
	cat <<-END
	base_dir = $D/run
	state_dir = $D/state
	log_path = $D/log
	protocols = pop3
	listen = ${DOVECOT_LISTEN:-127.0.0.1}
	default_login_user = $TEST_USER
	default_internal_user = $TEST_USER
	default_internal_group = $(id -gn "$TEST_UID")
	default_process_limit = 300
	default_client_limit = 2000
	first_valid_uid = 0
	ssl = yes
	ssl_cert = <$D/cert.pem
	ssl_key = <$D/cert.key
	disable_plaintext_auth = no
	auth_mechanisms = plain apop
	auth_failure_delay = 0
	mail_location = maildir:$T/store/%u
	mail_fsync = never
	mail_max_userip_connections = 0
	${RAWLOG:+rawlog_dir = $D/after}
	passdb {
	  driver = static
	  args = password=${DOVECOT_PASSWORD:-$PASSWORD}
	}
	userdb {
	  driver = static
	  args = uid=$TEST_UID gid=$TEST_GID home=$T/store/%u
	}
	service anvil {
	  chroot =
	  # Otherwise each refusal makes the next one slower.
	  unix_listener anvil-auth-penalty {
	    mode = 0
	  }
	}
	service pop3-login {
	  chroot =
	  executable = pop3-login ${RAWLOG:+-R $D/before}
	  inet_listener pop3 {
	    port = $POP3
	  }
	  inet_listener pop3s {
	    port = $POP3S
	  }
	}
	${DOVECOT_EXTRA:-}
	END
}

# What clients said, in order, without Dovecot's time stamps. Before the login
# only in clear sessions: what TLS hides, the first transcript does not show.
transcript()
{
	find "$D/before" "$D/after" -name '*.in' -exec cat {} + |
		sort -s -n -k 1,1 | cut -d ' ' -f 2- | tr -d '\r'
}

clear_transcript()
{
	find "$D/before" "$D/after" -type f -delete
}

# How many commands offered credentials. USER without PASS offers none.
credentials_sent()
{
	transcript | grep -c -E '^(APOP|PASS|AUTH) '
}

# Neither side ever said it.
has_not_in_transcripts()
{
	! grep -r -a -e "$1" "$D/before" "$D/after"
}

last_command_is()
{
	[ "$(transcript | tail -n 1)" = "$1" ]
}

# The process that serves USER, the last one to have logged in.
session_pid()
{
	sed -n "s/.* Login: user=<$1>.* mpid=\([0-9]*\).*/\1/p" "$D/log" | tail -n 1
}

logins()
{
	grep -c " Login: user=<$1>" "$D/log"
}

# --- mailhaul ---------------------------------------------------------------

CONFIG_DIR=$T/home/config/mailhaul
ENVIRONMENT=(env -u JOURNAL_STREAM -u NOTIFY_SOCKET -u WATCHDOG_USEC
	"HOME=$T/home" "XDG_CONFIG_HOME=$T/home/config" "XDG_STATE_HOME=$T/home/state")

# group SETTING... - each as "key = value"; the last of a key holds.
group()
{
	local -A values=()
	local setting

	for setting; do
		values[${setting%% = *}]=${setting#* = }
	done
	for setting in "${!values[@]}"; do
		printf '\t%s = %s;\n' "$setting" "${values[$setting]}"
	done
}

# configure [DAEMON_SETTING...] - the main file; accounts come one by one.
configure()
{
	"${AS[@]}" mkdir -p "$CONFIG_DIR/conf.d" "$T/home/mail"
	{
		echo 'daemon: {'
		group 'max_workers = 16' 'max_per_host = 16' "$@"
		echo '};'
	} | write_config "$CONFIG_DIR/mailhaul.conf"
}

# account NAME SETTING... - in conf.d/NAME.conf, with defaults for this place.
account()
{
	local name=$1
	shift

	{
		echo "accounts: { $name: {"
		group 'host = "127.0.0.1"' "port = $POP3S" 'tls = "implicit"' \
			"ca_file = \"$T/ca/ca.pem\"" "username = \"$name\"" \
			"password = \"$PASSWORD\"" "maildir = \"$(maildir "$name")\"" \
			'create = true' 'interval = "1h"' "$@"
		echo '}; };'
	} | write_config "$CONFIG_DIR/conf.d/$name.conf"
}

# clear_account NAME SETTING... - without TLS, so that the server sees all.
clear_account()
{
	local name=$1
	shift

	account "$name" 'tls = "none"' "port = $POP3" "$@"
}

# Holds a password, so it is the reader's own and nobody else may look.
write_config()
{
	(umask 077 && cat >"$1")
	chown "$CONFIG_OWNER" "$1"
}
CONFIG_OWNER=$TEST_UID:$TEST_GID

# The words before "mailhaul" that make it the user's.
HAUL=("${AS[@]}" "${ENVIRONMENT[@]}")

# run ARGUMENT... - to its end; $STATUS, and what it said in $T/log.
run()
{
	timeout -k 5 "${RUN_LIMIT:-180}" "${HAUL[@]}" "$BIN" "$@" >"$T/log" 2>&1
	STATUS=$?
}

# start ARGUMENT... - in the background; $HAUL_PID, and what it says in
# $T/daemon.log.
start()
{
	"${HAUL[@]}" "$BIN" "$@" >"$T/daemon.log" 2>&1 &
	HAUL_PID=$!
	to_end "$HAUL_PID"
}

# start_visiting ARGUMENT... - the daemon, and a visit to every account at once.
start_visiting()
{
	start "$@"
	until_ok 10 has_line "$T/daemon.log" 'configuration' && kill -USR1 "$HAUL_PID"
}

# finish SECONDS - what was started ends by itself; sets $STATUS.
finish()
{
	until_ok "$1" is_gone "$HAUL_PID" || return 1
	wait "$HAUL_PID"
	STATUS=$?
}

# The workers of the mailhaul that start left running, which alone of its
# children have no new privileges.
workers()
{
	local pid

	for pid in $(cat "/proc/$HAUL_PID/task/$HAUL_PID/children" 2>/dev/null); do
		grep -q '^NoNewPrivs:.*1' "/proc/$pid/status" 2>/dev/null &&
			echo "$pid"
	done
	return 0
}

# freeze PID - stopped until thaw, or until this test ends.
freeze()
{
	[ -n "$1" ] || return 1
	to_end "$1"
	kill -STOP "$1"
}

thaw()
{
	kill -CONT "$1"
}

has_no_zombie()
{
	local pid

	for pid in $(workers); do
		is_alive "$pid" || return 1
	done
}

# as_root_service - from here on mailhaul is root's, on an empty state directory
# of its own, $ROOT_STATE: for this process and its children only, something
# else lies over the real one.
as_root_service()
{
	CONFIG_OWNER=0:0
	chown -R 0:0 "$CONFIG_DIR"
	chmod 0711 "$T/home" # root may not look into what is closed to it
	HAUL=("${ENVIRONMENT[@]}")
	account probe "user = \"$TEST_USER\""
	run --check-config --config "$CONFIG_DIR/mailhaul.conf"
	rm "$CONFIG_DIR/conf.d/probe.conf"
	ROOT_STATE=$(sed -n 's,^state: */,/,p' "$T/log")
	[ -n "$ROOT_STATE" ] || bail_out "--check-config names no state directory"
	cover "$ROOT_STATE"
}

# cover DIR - by an empty one; where there is none, by what may be made there.
cover()
{
	local dir=$1

	[ -d "$dir" ] && mount -t tmpfs -o mode=0711 none "$dir" && return
	while [ ! -d "$dir" ]; do
		dir=${dir%/*}
	done
	mkdir -p "$T/overlay/upper" "$T/overlay/work"
	mount -t overlay overlay "$dir" -o \
		"lowerdir=$dir,upperdir=$T/overlay/upper,workdir=$T/overlay/work"
}
