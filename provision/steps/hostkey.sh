# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# The front's host key: one, ed25519, made here and never replaced. Only root reads it; systemd hands it to the front.

hostkey=/etc/creel/ssh_host_ed25519_key

hostkey_make()
{
	if [ -f "$hostkey" ]; then
		if [ "$(stat -c '%a %u %g' "$hostkey")" != "600 0 0" ]; then
			apply chown 0:0 "$hostkey"
			apply chmod 600 "$hostkey"
			changed "host key: now readable by root alone"
		elif [ ! -f "$hostkey.pub" ]; then
			[ -n "$dry_run" ] || ssh-keygen -y -f "$hostkey" >"$hostkey.pub"
			changed "host key: its public half was missing"
		else
			unchanged "host key: $(ssh-keygen -lf "$hostkey.pub" | cut -d' ' -f2)"
		fi
		return
	fi
	if [ -n "$dry_run" ]; then
		changed "host key: made"
		return
	fi
	rm -f "$hostkey.new" "$hostkey.new.pub"
	ssh-keygen -q -t ed25519 -N '' -C "creel@$(cat /etc/hostname)" -f "$hostkey.new"
	mv "$hostkey.new.pub" "$hostkey.pub"
	mv "$hostkey.new" "$hostkey"
	changed "host key: $(ssh-keygen -lf "$hostkey.pub" | cut -d' ' -f2)"
}
