# shellcheck shell=bash
# shellcheck disable=SC2034 # variables that the tests read
#
# servers.sh - real POP3 servers side by side on loopback, for tests that have
# sourced lib.sh with PRIVATE set to $SERVERS_PRIVATE.
#
# For each SERVER of $SERVERS there are these functions:
#
#   SERVER_is_here       its program is to be found
#   SERVER_begin         runs it; PORTS[SERVER], and TLS_PORTS[SERVER] if it has TLS
#   SERVER_open USER     makes an empty mailbox for USER, with $PASSWORD
#   SERVER_stock USER    puts the files of a SET into it, each one message
#   SERVER_renumber USER every message gets another UID, if that can happen
#
# Dovecot runs as in all tests. The others know system users, fixed paths and
# PAM, so they need root and a mount namespace, in which what install-servers
# unpacked lies over /usr and /etc. Nothing of that is seen or left outside; in
# a process and a network namespace no process is left and no port is taken.

SERVERS=(dovecot courier mailutils popa3d cyrus)
SERVERS_DIR=${MAILHAUL_TEST_SERVERS:-/opt/mailhaul-test-servers}
SERVERS_BASE=$T # tests may give T another value later
POP3=0 POP3S=0	# until Dovecot runs
declare -A PORTS=([courier]=1101 [mailutils]=1102 [popa3d]=1103 [cyrus]=1104)
declare -A TLS_PORTS=([courier]=2101 [mailutils]=2102 [cyrus]=2104)
PATH=$PATH:/usr/sbin:/sbin
! is_private || ip link set lo up || skip_all "needs ip, of iproute2"

# --- a machine with all servers ---------------------------------------------

# lay DIR [OVER] - what is written to DIR from here on goes to scratch space.
lay()
{
	local upper=$SERVERS_BASE/laid$1

	mkdir -p "$upper" "$upper.work"
	chmod --reference "$1" "$upper"
	mount -t overlay overlay "$1" -o \
		"lowerdir=${2:+$2:}$1,upperdir=$upper,workdir=$upper.work"
}

# Why only Dovecot can run; nothing when all can.
servers_lack()
{
	if ! is_root; then
		echo "needs root"
	elif ! is_private; then
		echo "needs namespaces of its own: unshare $SERVERS_PRIVATE"
	elif ! command -v ss systemd-socket-activate >/dev/null; then
		echo "needs ss and systemd-socket-activate"
	elif [ ! -e "$SERVERS_DIR/PACKAGES" ]; then
		echo "not in $SERVERS_DIR: tests/system/install-servers puts it there"
	fi
}

lay_servers()
{
	lay /usr "$SERVERS_DIR/usr" && lay /etc "$SERVERS_DIR/etc" && lay /var/lib &&
		mount -t tmpfs -o mode=0755 none /run &&
		mount -t tmpfs -o mode=0777 none /var/mail || return 1
	PASSWORD_HASH=$(openssl passwd -6 "$PASSWORD")
	mkdir -p "$SERVERS_BASE/homes"
	chmod 0711 "$SERVERS_BASE/homes"
	add_user courier 64001 '*'
	add_user popa3d 64002 '*'
	add_user cyrus 64003 '*'
}

# add_user NAME [UID HASH] - whom /etc/passwd and PAM know, here only.
add_user()
{
	local home=$SERVERS_BASE/homes/$1

	mkdir "$home"
	chown "${2:-$TEST_UID}:$TEST_GID" "$home"
	echo "$1:x:${2:-$TEST_UID}:$TEST_GID::$home:/bin/sh" >>/etc/passwd
	echo "$1:${3:-$PASSWORD_HASH}:19000::::::" >>/etc/shadow
}

# listen_on PORT COMMAND... - COMMAND for each connection, which is its input
# and output.
listen_on()
{
	serve systemd-socket-activate -l "127.0.0.1:$1" --inetd -a "${@:2}"
}

# serve COMMAND... - in the background, until this test ends.
serve()
{
	"$@" >>"$SERVERS_BASE/${1##*/}.log" 2>&1 </dev/null &
	to_end $!
}

is_listening()
{
	[ -n "$(ss -Htln "sport = :$1")" ]
}

listens()
{
	until_ok 20 is_listening "${PORTS[$1]}" &&
		until_ok 20 is_listening "${TLS_PORTS[$1]:-${PORTS[$1]}}" ||
		bail_out "$1 does not start"
}

# --- Dovecot ----------------------------------------------------------------

dovecot_is_here()
{
	command -v dovecot >/dev/null && [ -x /usr/lib/dovecot/pop3 ]
}

# One session at a time, as others have it; Dovecot's default is to let all in.
dovecot_begin()
{
	DOVECOT_EXTRA='protocol pop3 {
	  pop3_lock_session = yes
	}' dovecot_start dovecot
	PORTS[dovecot]=$POP3
	TLS_PORTS[dovecot]=$POP3S
}

dovecot_open()
{
	"${AS[@]}" mkdir -p "$SERVERS_BASE/store/$1"/{cur,new,tmp}
}

dovecot_stock()
{
	"${AS[@]}" cp "$2"/* "$SERVERS_BASE/store/$1/new/"
}

dovecot_renumber()
{
	rm "$SERVERS_BASE/store/$1"/dovecot*
}

# --- Courier ----------------------------------------------------------------

COURIER=/usr/lib/courier

courier_is_here()
{
	[ -x "$COURIER/courier/courierpop3d" ]
}

courier_begin()
{
	local key=$SERVERS_BASE/courier.pem

	cat "$SERVERS_BASE/ca/good.key" "$SERVERS_BASE/ca/good.pem" >"$key"
	chown courier "$key"
	mkdir -p /run/courier/authdaemon
	serve env authmodulelist=authpam daemons=2 DEBUG_LOGIN=0 DEFAULTOPTIONS= \
		authdaemonvar=/run/courier/authdaemon \
		"$COURIER/courier-authlib/authdaemond"
	until_ok 20 test -S /run/courier/authdaemon/socket || bail_out "authdaemond does not start"
	courier_listen "${PORTS[courier]}"
	courier_listen "${TLS_PORTS[courier]}" /usr/bin/couriertls -server -tcpd
}

courier_listen()
{
	serve env POP3AUTH='PLAIN LOGIN' POP3AUTH_TLS='PLAIN LOGIN' POP3_STARTTLS=YES \
		COURIERTLS=/usr/bin/couriertls TLS_CERTFILE="$SERVERS_BASE/courier.pem" \
		TLS_VERIFYPEER=NONE couriertcpd -address=127.0.0.1 -nodnslookup -noidentlookup \
		"$1" "${@:2}" \
		"$COURIER/courier/courierpop3login" "$COURIER/courier/courierpop3d" Maildir
}

courier_open()
{
	add_user "$1"
	"${AS[@]}" mkdir -p "$SERVERS_BASE/homes/$1/Maildir"/{cur,new,tmp}
}

courier_stock()
{
	"${AS[@]}" cp "$2"/* "$SERVERS_BASE/homes/$1/Maildir/new/"
}

courier_renumber()
{
	rm "$SERVERS_BASE/homes/$1/Maildir/courierpop3dsizelist"
}

# --- GNU mailutils ----------------------------------------------------------

mailutils_is_here()
{
	[ -x /usr/sbin/pop3d ] && [ -x /usr/bin/popauth ]
}

mailutils_begin()
{
	cat >/etc/mailutils.conf <<-END
	program pop3d {
	  tls {
	    ssl-certificate-file $SERVERS_BASE/ca/good.pem;
	    ssl-key-file $SERVERS_BASE/ca/good.key;
	  };
	  tls-file-checks {
	    key-file none;
	    cert-file none;
	  };
	};
	END
	listen_on "${PORTS[mailutils]}" /usr/sbin/pop3d --inetd --set .tls-mode=ondemand
	listen_on "${TLS_PORTS[mailutils]}" /usr/sbin/pop3d --inetd --set .tls-mode=connection
}

mailutils_open()
{
	mbox_open "$1"
}

mailutils_stock()
{
	mbox_stock "$@"
}

# From here on USER logs in with APOP, and no other way.
mailutils_apop()
{
	popauth --add --user "$1" --password "$PASSWORD"
}

mailutils_renumber()
{
	sed -i '/^X-UIDL: /d' "/var/mail/$1"
}

mbox_open()
{
	add_user "$1"
	: >"/var/mail/$1"
	chown "$TEST_UID:$TEST_GID" "/var/mail/$1"
}

mbox_stock()
{
	local message

	for message in "$2"/*; do
		echo "From sender@example.org Thu Jan  1 00:00:00 1970"
		cat "$message"
		echo
	done >>"/var/mail/$1"
}

# --- popa3d -----------------------------------------------------------------

popa3d_is_here()
{
	[ -x /usr/sbin/popa3d ]
}

popa3d_begin()
{
	mkdir -p /var/lib/popa3d
	listen_on "${PORTS[popa3d]}" /usr/sbin/popa3d
}

popa3d_open()
{
	mbox_open "$1"
}

popa3d_stock()
{
	mbox_stock "$@"
}

# --- Cyrus ------------------------------------------------------------------

CYRUS=$SERVERS_BASE/cyrus

cyrus_is_here()
{
	[ -x /usr/lib/cyrus/bin/pop3d ] && command -v saslpasswd2 >/dev/null
}

cyrus_begin()
{
	mkdir -p "$CYRUS/state" "$CYRUS/mail"
	cyrus_configuration >"$CYRUS/imapd.conf"
	cat >"$CYRUS/cyrus.conf" <<-END
	START {
	}
	SERVICES {
	  pop3 cmd="pop3d -C $CYRUS/imapd.conf" listen="127.0.0.1:${PORTS[cyrus]}"
	  pop3s cmd="pop3d -s -C $CYRUS/imapd.conf" listen="127.0.0.1:${TLS_PORTS[cyrus]}"
	}
	EVENTS {
	}
	END
	cp "$SERVERS_BASE/ca/good.key" "$CYRUS/key.pem"
	chown -R cyrus:"$TEST_GID" "$CYRUS"
	serve /usr/lib/cyrus/bin/master -D -p "$CYRUS/pid" -L "$CYRUS/log" \
		-M "$CYRUS/cyrus.conf" -C "$CYRUS/imapd.conf"
}

cyrus_configuration()
{
	cat <<-END
	configdirectory: $CYRUS/state
	partition-default: $CYRUS/mail
	defaultpartition: default
	servername: localhost
	unixhierarchysep: yes
	autocreate_quota: 0
	autocreate_post: yes
	allowplaintext: yes
	allowapop: yes
	sasl_pwcheck_method: auxprop
	sasl_auxprop_plugin: sasldb
	sasl_sasldb_path: $CYRUS/sasldb2
	sasl_mech_list: PLAIN
	tls_server_cert: $SERVERS_BASE/ca/good.pem
	tls_server_key: $CYRUS/key.pem
	END
}

cyrus_do()
{
	setpriv --reuid cyrus --regid "$TEST_GID" --clear-groups -- \
		"/usr/lib/cyrus/bin/$1" -C "$CYRUS/imapd.conf" "${@:2}"
}

# The first login makes the mailbox.
cyrus_open()
{
	echo "$PASSWORD" | saslpasswd2 -p -c -f "$CYRUS/sasldb2" -u localhost "$1" &&
		chown cyrus "$CYRUS/sasldb2" &&
		talk_open cyrus "$1" && talk_end
}

# Its own format is one file per message, with CRLF.
cyrus_stock()
{
	local dir message number=0

	dir=$(cyrus_do mbpath "user/$1") || return 1
	for message in "$2"/*; do
		number=$((number + 1))
		sed 's/$/\r/' "$message" >"$dir/$number."
		chown cyrus "$dir/$number."
	done
	cyrus_do reconstruct "user/$1"
}

# A mailbox without its index is numbered anew.
cyrus_renumber()
{
	local dir

	dir=$(cyrus_do mbpath "user/$1") || return 1
	rm "$dir/cyrus.index" && cyrus_do reconstruct "user/$1"
}

# --- another client ---------------------------------------------------------

# talk_open SERVER USER - a session with no part of mailhaul in it; it has the
# mailbox until talk_end. Each command waits for the reply to the one before:
# Courier loses what follows PASS in one packet.
talk_open()
{
	exec {TALK}<>"/dev/tcp/127.0.0.1/${PORTS[$1]}" || return 1
	hear && talk "USER $2" && talk "PASS $PASSWORD"
}

# talk COMMAND - true when the first line of the reply, $HEARD, is +OK.
talk()
{
	printf '%s\r\n' "$1" >&"$TALK" && hear
}

hear()
{
	IFS= read -r -t 30 -u "$TALK" HEARD && [[ $HEARD == +OK* ]] && return
	echo "another client heard: ${HEARD:-nothing}"
	return 1
}

talk_end()
{
	printf 'QUIT\r\n' >&"$TALK"
	timeout 30 cat <&"$TALK" >/dev/null
	exec {TALK}>&-
	TALK=
}

# left SERVER USER - how many messages the server says it has.
left()
{
	talk_open "$@" && talk STAT || return 1
	talk_end
	HEARD=${HEARD#+OK }
	echo "${HEARD%% *}"
}

mailbox_has()
{
	is "$(left "$1" "$2")" "$3"
}

# read_uids SERVER USER - as UIDL lists them, without the numbers.
read_uids()
{
	talk_open "$@" && talk UIDL || return 1
	printf 'QUIT\r\n' >&"$TALK"
	timeout 30 cat <&"$TALK" | sed -n 's/^[0-9]\+ \([^\r]*\)\r$/\1/p'
	exec {TALK}>&-
	TALK=
}

# read_mailbox SERVER USER DIR - into DIR what the server sends for each
# message, less what POP3 adds: CR before LF, a dot before a dot.
read_mailbox()
{
	local count number

	mkdir "$3"
	talk_open "$1" "$2" && talk STAT || return 1
	count=${HEARD#+OK }
	count=${count%% *}
	for ((number = 1; number <= count; number++)); do
		printf 'RETR %d\r\n' "$number" >&"$TALK"
	done
	printf 'QUIT\r\n' >&"$TALK"
	printf '.\r\n' >"$3.raw"
	timeout 60 cat <&"$TALK" >>"$3.raw"
	exec {TALK}>&-
	TALK=
	split_replies "$3.raw" "$3"
	is "$(count_files "$3")" "$count"
}

# Each piece: the dot that ends the one before, +OK, the message. The last is
# the reply to QUIT.
split_replies()
{
	local piece

	csplit -s -z -n 4 -f "$2/piece." "$1" $'/^\\.\r$/' '{*}'
	for piece in "$2"/piece.*; do
		sed '1,2d; s/\r$//; s/^\.//' "$piece" >"$2/${piece##*.}"
	done
	rm "$2"/piece.* "$2/${piece##*.}"
}
