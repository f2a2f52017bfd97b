# Shared by quickstart and check: says what it does, installs what is missing, configures and builds. Sourced, from bash.

say() { printf '\n== %s\n' "$*"; }

build_packages="autoconf automake gcc make pkg-config python3 libc6-dev libsecp256k1-dev libleveldb-dev libevent-dev
libopenblas-dev libssl-dev libjansson-dev"

# install_packages NAME...: Debian packages that are not there yet, as root or through sudo.
install_packages() {
	local name missing=() as_root=()
	for name in "$@"; do
		dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	command -v apt-get >/dev/null || {
		echo "These packages are missing, and there is no apt-get to install them: ${missing[*]}" >&2
		return 1
	}
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || {
			echo "Run this as root, or install these packages first: ${missing[*]}" >&2
			return 1
		}
		as_root=(sudo)
	fi
	say "Installing ${missing[*]}"
	"${as_root[@]}" apt-get update -qq
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build_tree DIR TARGET CONFIGURE-ARGUMENT...: configures once, then builds the target (all, or another).
build_tree() {
	local dir=$1 target=$2 jobs
	shift 2
	jobs=$(nproc 2>/dev/null || echo 2)
	if [ ! -x "$source_dir/configure" ] || [ "$source_dir/configure.ac" -nt "$source_dir/configure" ]; then
		say "Generating the build system"
		(cd "$source_dir" && autoreconf -fi >"$source_dir/autoreconf.log" 2>&1) || {
			cat "$source_dir/autoreconf.log" >&2
			return 1
		}
		rm -f "$source_dir/autoreconf.log"
	fi
	mkdir -p "$dir"
	if [ ! -f "$dir/Makefile" ] || [ "$(cat "$dir/.configured" 2>/dev/null)" != "$*" ]; then
		say "Configuring $dir${*:+ ($*)}"
		(cd "$dir" && "$source_dir/configure" --quiet "$@") || return 1
		printf '%s' "$*" >"$dir/.configured"
	fi
	say "Building $dir"
	make -C "$dir" -j"$jobs" --no-print-directory --quiet "$target"
}
