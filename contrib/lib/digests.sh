# Shared by digest-matrix and digest-aarch64: runs atelier-bench and compares what it finds with test/data/digests.txt.
# Sourced, by sh too. Needs $work, a folder for its notes, and $source_dir.

# note RESULT TEXT: RESULT is ok, skipped or FAILED. One line for whoever watches.
note() { printf '%-7s %s\n' "$1" "$2"; }

# Counts are kept in files, so that checks may run beside each other: tally agree|differ|skipped adds one.
tally() { echo >>"$work/$1"; }
tallied() { if [ -f "$work/$1" ]; then wc -l <"$work/$1"; else echo 0; fi; }

skip() {
	note skipped "$1"
	tally skipped
}

# fail TEXT [FILE]: shows the end of FILE.
fail() {
	note FAILED "$1"
	[ -z "${2:-}" ] || tail -n 20 "$2"
	tally differ
}

# check NAME CHAINS COMMAND...: runs COMMAND (which ends in atelier-bench and its options) for each chain.
check() {
	name=$1 chains=$2 good=
	errors=$(mktemp "$work/errors.XXXXXX")
	shift 2
	for chain in $chains; do
		expected=$(grep "^$chain " "$source_dir/test/data/digests.txt")
		found=$("$@" -spec="$chain" digest 2>"$errors")
		status=$?
		if [ $status -eq 132 ]; then
			skip "$name: this processor lacks its instructions"
			return
		elif [ $status -eq 124 ]; then
			fail "$name, $chain: no digest within the time it is given"
		elif [ $status -eq 0 ] && [ "$found" = "$expected" ]; then
			tally agree
			good="$good $chain"
		else
			fail "$name, $chain: found '$found' (status $status)" "$errors"
		fi
	done
	[ -z "$good" ] || note ok "$name:$good"
}

# The last line; true if nothing differs and something was compared.
summary() {
	echo "$(tallied agree) digests agree, $(tallied differ) differ, $(tallied skipped) skipped"
	[ "$(tallied differ)" -eq 0 ] && [ "$(tallied agree)" -gt 0 ]
}
