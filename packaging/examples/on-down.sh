#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a command whenever an IPsec tunnel goes down, with TUNNEL and REASON in its environment:
#
#     on-down.sh sh -c 'logger "$TUNNEL is down: $REASON"'
#
# gdbus shows only signals of the owner of the name. The tunnel's name is read from the service by its
# object path, because a path contains neither blanks nor quotation marks. busctl writes special
# characters in names with a backslash.

set -eu

ask() { busctl --system get-property org.ipsecwatch1 "$1" org.ipsecwatch1.Tunnel "$2"; }

begins="/org/ipsecwatch1: org.ipsecwatch1.Manager.TunnelDown (objectpath '"
gdbus monitor --system --dest org.ipsecwatch1 --object-path /org/ipsecwatch1 |
while read -r line; do
    path=${line#"$begins"}
    [ "$path" != "$line" ] || continue
    path=${path%%\'*}
    # s "office": a tunnel that was unloaded has no object any more.
    TUNNEL=$(ask "$path" Name 2>/dev/null) || TUNNEL="s \"${path##*/}\""
    REASON=$(ask "$path" Reason 2>/dev/null) || REASON='s "unloaded"'
    TUNNEL=${TUNNEL#s \"} REASON=${REASON#s \"}
    TUNNEL=${TUNNEL%\"} REASON=${REASON%\"} "$@" || echo "$1 failed" >&2
done
