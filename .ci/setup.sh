# Shared by run.sh and test.sh: installs what is missing, says what it does, tells how long things took.

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 3; }

# install_missing LIST...: the packages of each list file that dpkg does not know as installed.
install_missing() {
  local wanted missing="" package
  wanted=$(cat "$@" | sed 's/#.*//')
  command -v dpkg-query >/dev/null || die "this is not a Debian machine (no dpkg-query); install these yourself: $(echo $wanted)"
  for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || { echo "all packages are installed"; return; }
  echo "installing:$missing"
  local as_root="env"
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "packages are missing and neither root nor sudo is at hand; run as root: apt-get install$missing"
    as_root="sudo env"   # sudo drops the caller's environment
  fi
  $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq || die "apt-get update failed"
  $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || die "apt-get install failed:$missing"
}

# timed NAME COMMAND...: runs it and remembers how long it took.
TIMES=""
timed() {
  local name=$1 begin=$SECONDS status=0
  shift
  "$@" || status=$?
  TIMES="$TIMES  $name $((SECONDS - begin)) s\n"
  return $status
}
