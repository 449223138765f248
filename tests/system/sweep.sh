# shellcheck shell=bash
# shellcheck disable=SC2034 # variables that the sweeps read
#
# sweep.sh - what crash-sweep and error-sweep share: one visit after the other
# with a fault at one point of it, each on a mailbox, a Maildir and a journal of
# its own, and what must be true after the next visit without a fault.
#
# Several slots work side by side, each with a server and a directory $S of its
# own, on a memory file system where there is one: a process that dies or is
# told of an error leaves there what it would leave on a disk.
#
# In the environment:
#   MAILHAUL_SWEEP  "all": every point of every sweep, however long it takes
#   MAILHAUL_SLOTS  how many at once; as many as there are CPUs by default

MESSAGES=10
TOTAL=0 # points of all sweeps
SLOTS=${MAILHAUL_SLOTS:-$(nproc)}
[ "$SLOTS" -le 8 ] || SLOTS=8

# step N - every Nth point, unless all are asked for; with a sanitizer fewer.
step()
{
	if [ "${MAILHAUL_SWEEP:-}" = all ]; then
		echo 1
	elif is_sanitized; then
		echo $((5 * $1))
	else
		echo "$1"
	fi
}

# --- slots ------------------------------------------------------------------

sweep_clean_up()
{
	clean_up
	[ -n "${KEEP:-}" ] || rm -rf "$FAST"
}

# sweep_begin [SERVER_OPTION...] - slots, their servers, what the mail is.
sweep_begin()
{
	local slot

	FAST=$(mktemp -d /dev/shm/mailhaul.XXXXXX 2>/dev/null) ||
		FAST=$(mktemp -d "$T/fast.XXXXXX")
	trap sweep_clean_up EXIT
	chmod 0711 "$FAST"
	copy_program "${POP3_PLAYER:-$PWD/pop3-player}" pop3-player
	helper faults.so -fPIC -shared
	helper journal-rows -lsqlite3
	make_certificates
	make_mail "$MESSAGES" "$MESSAGES" 4000
	cp -a "$T/originals/$MESSAGES" "$FAST/mail"
	SUMS=$(sums "$FAST"/mail/*)
	for ((slot = 0; slot < SLOTS; slot++)); do
		slot_begin "$FAST/$slot"
	done
}

sums()
{
	sha256sum "$@" | cut -c 1-64 | sort
}

slot_begin()
{
	mkdir -p "$1/store" "$1/home"
	chown -R "$TEST_UID:$TEST_GID" "$1"
	serve "$1" normal
	serve "$1" eager --dele-at-once
	serve "$1" secure --tls implicit --tls-dir "$T/ca"
}

# serve DIR NAME OPTION... - a server for DIR/store, which tells its port and
# writes its transcript in DIR/NAME.*
serve()
{
	"${AS[@]}" "$T/bin/pop3-player" serve --maildir "$1/store" --user box \
		--password "$PASSWORD" --port-file "$1/$2.port" \
		--transcript "$1/$2.transcript" "${@:3}" >"$1/$2.output" 2>&1 &
	to_end $!
	until_ok 10 test -s "$1/$2.port" || bail_out "no server: $(cat "$1/$2.output")"
}

# slot_enter SLOT SERVER KEEP - in a process of its own, until it ends.
# The supervisor loads the system's CAs, needed or not; all 144 of them would
# take longer than a visit.
slot_enter()
{
	S=$FAST/$1
	TRANSCRIPT=$S/$2.transcript
	POP3S=$(<"$S/$2.port")
	CONFIG_DIR=$S/home/config/mailhaul
	ENVIRONMENT=(env -u JOURNAL_STREAM -u NOTIFY_SOCKET -u WATCHDOG_USEC
		"HOME=$S/home" "XDG_CONFIG_HOME=$S/home/config"
		"XDG_STATE_HOME=$S/home/state" "SSL_CERT_FILE=$T/ca/ca.pem")
	HAUL=("${AS[@]}" "${ENVIRONMENT[@]}")
	KEEPS=$3 TLS=none
	[ "$2" != secure ] || TLS=implicit
	: >"$S/violations"
	: >"$S/calls"
	POINT=beginning STRUCK=-
	# The faults come from inside: in its sandbox a worker can kill nobody.
	configure 'sandbox = "off"'
	account box "tls = \"$TLS\"" "keep = \"$KEEPS\"" 'batch_messages = 4' 'stop_timeout = "10s"' \
		"maildir = \"$S/home/mail/box\""
}

# A full mailbox, no Maildir, no journal: making those has points, too.
slot_reset()
{
	rm -rf "$S/home/mail" "$S/home/state" "$S/store"
	"${AS[@]}" mkdir -p "$S/home/mail" "$S/store/cur" "$S/store/tmp"
	"${AS[@]}" cp -al "$FAST/mail" "$S/store/new"
}

# --- one visit --------------------------------------------------------------

# visit [VARIABLE=VALUE...] - $STATUS, and what the server heard in $TRANSCRIPT.
visit()
{
	local mails

	: >"$TRANSCRIPT"
	SERVED=()
	for mails in "$S"/store/new/*; do
		SERVED+=("${mails##*/}")
	done
	timeout -k 5 60 "${HAUL[@]}" "$@" "$BIN" --once >"$S/log" 2>&1
	STATUS=$?
	# More patience than any healthy server needs.
	until_ok 30 is_served || violation "the server still has a session open"
	mapfile -t HEARD <"$TRANSCRIPT"
}

# Every connection is over, and no lock is held for it.
is_served()
{
	local line
	local -i open=0

	while read -r line; do
		case $line in
		'-- connect') open+=1 ;;
		'-- over') open+=-1 ;;
		esac
	done <"$TRANSCRIPT"
	[ "$open" = 0 ]
}

# visit_with WHO FAULT N [lasts] - a visit with the fault at its Nth point;
# false when it has no so many. Sets $STRUCK, the call.
visit_with()
{
	local points hits leaks

	rm -f "$S/faults"
	visit "LD_PRELOAD=$T/bin/faults.so" "FAULTS=$S/faults" "FAULTS_IN=$1" \
		"FAULTS_DO=$2" "FAULTS_AT=$3" "FAULTS_LASTS=${4:-}"
	read -r points hits RETRIED leaks WORKER STRUCK <"$S/faults"
	[ "$leaks" = 0 ] || violation "memory leaked"
	[ "$hits" != 0 ] || return 1
	# A worker may outlive its supervisor for a moment, and it ends its session.
	[ "$WORKER" = 0 ] || until_ok 30 is_gone "$WORKER" ||
		violation "worker $WORKER is left behind"
	until_ok 30 is_served || violation "the server still has a session open"
	mapfile -t HEARD <"$TRANSCRIPT"
}

# count_point WORDS - one more, and what violations call it.
count_point()
{
	POINT="$* ($STRUCK)"
	echo "$STRUCK" >>"$S/calls"
}

# --- what must be true --------------------------------------------------------

# violation WORDS - of the point that $POINT names.
violation()
{
	{
		echo "$POINT: $1"
		sed 's/^/    /' "$S/log"
	} >>"$S/violations"
}

# What the journal vouches for, and how many messages are in new/.
look()
{
	local journal row

	VOUCHED=()
	DELIVERED=("$S"/home/mail/box/new/*)
	[ -e "${DELIVERED[0]}" ] || DELIVERED=()
	for journal in "$S"/home/state/mailhaul/*/; do
		# Before its lock file has its line a journal is not yet one.
		[ -s "$journal/lock" ] || continue
		rm -rf "$S/copy"
		cp -r "$journal" "$S/copy"
		mapfile -t row < <("$T/bin/journal-rows" "$S/copy/journal.sqlite" 2>&1)
		VOUCHED+=("${row[@]}")
	done
	[ "${#DELIVERED[@]}" -le "${#VOUCHED[@]}" ] ||
		violation "${#DELIVERED[@]} in new/, the journal knows ${#VOUCHED[@]}"
}

# Each file in new/ is one of the originals, and no two are the same.
check_new()
{
	local alien

	[ "${#DELIVERED[@]}" -gt 0 ] || return 0
	alien=$(comm -13 <(echo "$SUMS") <(sums "${DELIVERED[@]}"))
	[ -z "$alien" ] || violation "new/ holds what is no original, or one twice"
}

# Nothing that look saw before is retrieved by the visit after it.
check_retrieved()
{
	local line uid vouched=" ${VOUCHED[*]} "
	local -i n=0

	for line in "${HEARD[@]}"; do
		[[ $line = 'C: RETR '* ]] || continue
		n+=1
		uid=${SERVED[${line#C: RETR } - 1]}
		[[ $vouched != *" $uid "* ]] || violation "$uid is retrieved again"
	done
	[ "$n" -le $((MESSAGES - ${#DELIVERED[@]})) ] ||
		violation "${#DELIVERED[@]} were in new/, and $n are retrieved"
}

# check_left [COMMAND...] - who was greeted says QUIT, unless the last thing he
# said is one of those: then the server saw the end of the connection at once.
# shellcheck disable=SC2120 # error-sweep passes some
check_left()
{
	local line last=''

	for line in "${HEARD[@]}"; do
		[[ $line = C:* ]] && last=${line#C: }
	done
	[[ -z $last || " QUIT $* " = *" $last "* ]] || violation "no QUIT, but '$last'"
}

# After a visit without a fault all is as if there had never been one.
check_settled()
{
	local left=("$S"/home/mail/box/tmp/*) served=("$S"/store/new/*)

	[ "$STATUS" = 0 ] || violation "the next visit ends with $STATUS"
	check_left
	[ "$(sums "$S"/home/mail/box/new/* 2>/dev/null)" = "$SUMS" ] ||
		violation "the Maildir does not hold every message once"
	[ ! -e "${left[0]}" ] || violation "tmp/ is not empty"
	if [ "$KEEPS" = forever ]; then
		[ "${#served[@]}" = "$MESSAGES" ] || violation "the server lacks messages"
	else
		[ ! -e "${served[0]}" ] || violation "the server still has messages"
	fi
}

# --- sweeps -------------------------------------------------------------------

LAST_POINT=100000 # beyond any visit of so few messages

# sweep SERVER KEEP STEP FUNCTION ARGUMENT... - calls FUNCTION ARGUMENT... N in
# some slot for N = 1, 1 + STEP, ... until it says that there is no such point.
# Sets $POINTS and $VIOLATIONS, says both in a comment, and adds to $TOTAL.
sweep()
{
	local slot pids=()

	for ((slot = 0; slot < SLOTS; slot++)); do
		sweep_slot "$slot" "$@" &
		pids+=($!)
	done
	wait "${pids[@]}"
	POINTS=$(cat "$FAST"/*/calls | wc -l)
	cat "$FAST"/*/violations >"$T/violations"
	VIOLATIONS=$(grep -c '^[^ ]' "$T/violations")
	TOTAL=$((TOTAL + POINTS))
	echo "# $POINTS points, $VIOLATIONS violations"
}

sweep_slot()
{
	local -i n

	exec 2>"$FAST/$1/noise" # bash tells of each death
	slot_enter "$1" "$2" "$3"
	for ((n = 1 + $1 * $4; n < LAST_POINT; n += SLOTS * $4)); do
		slot_reset
		"${@:5}" "$n" || return
	done
	POINT=$5 violation "there is no end to the points"
}

# There were points, and no violation at any of them.
holds()
{
	head -n 40 "$T/violations"
	[ "$POINTS" -gt 0 ] && [ "$VIOLATIONS" = 0 ]
}
