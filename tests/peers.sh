#!/bin/sh
# Installs programs from Debian packages, as root, and none of the services that come with them.
#
#     sh tests/peers.sh PACKAGE...
#
# Debian starts a service as soon as its package is installed, and at each boot. Nobody who wants to run nginx in
# a lab wants one on the host's port 80. So starting is forbidden as long as this installs (policy-rc.d, exit status
# 101), and what came is disabled for the next boot. What is installed already is left as it is.
set -u
policy=/usr/sbin/policy-rc.d

missing=
for package; do
    status=$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

# Where the machine has a policy of its own, as containers do, that one holds.
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\n# No service is started while `make peers` of churn installs; it removes this file.\nexit 101\n' \
        >"$policy" || exit 1
    chmod 755 "$policy"
fi

apt-get update -qq
for package in $missing; do
    case $package in
        nginx-light) service=nginx ;;
        redis-server) service=redis-server ;;
        postgresql) service=postgresql ;;
        *) service= ;;
    esac
    # One that was there before, of another package, is somebody's.
    [ -e "/etc/init.d/$service" ] && service=
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null; then
        echo "$package cannot be had: what needs it is left out"
        continue
    fi
    [ -n "$service" ] || continue
    update-rc.d "$service" disable >/dev/null || echo "the service $service is enabled: it starts at the next boot"
done
