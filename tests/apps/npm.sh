# shellcheck shell=bash
# Actual's sync server and what it brings along, from npm, to be sourced after lib.sh. Installed once, into
# $HOLDFAST_APPS_CACHE (~/.cache/holdfast-apps).
#
#   install_packages    afterwards: $packages, where node_modules is; programs of start_on have it at $CLUSTER/program
need node npm g++ make
actual_version=25.6.0
packages=${HOLDFAST_APPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast-apps}/actual-$actual_version-node$(node -p process.versions.modules)

install_packages() {
  APPS_PROGRAM=$packages
  mkdir -p "$packages"
  # Not twice at once.
  exec 9>"$packages.lock"
  flock 9
  [[ -e $packages/complete ]] || npm_install
  exec 9>&-
}
npm_install() {
  # Newer npm builds native modules only of packages that are named here.
  echo '{"private": true, "allowScripts": {"bcrypt": true, "better-sqlite3": true}}' >"$packages/package.json"
  # Its native modules are built with the headers that are here, instead of some that would be fetched.
  [[ ! -e /usr/include/node/node.h ]] || export npm_config_nodedir=/usr
  if ! npm install --prefix "$packages" --no-audit --no-fund "@actual-app/sync-server@$actual_version" >"$packages/install.log" 2>&1; then
    tail -n 25 "$packages/install.log" >&2
    echo "FAIL: npm could not install @actual-app/sync-server@$actual_version (does it reach its registry? are node's headers there?)" >&2
    exit 1
  fi
  touch "$packages/complete"
}
