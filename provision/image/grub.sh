# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A disk of an image that starts by itself: GPT with GRUB for a BIOS (boot sector and a partition of its own, as the manual of GRUB,
# "BIOS installation", and grub-bios-setup have it) and for EFI (the removable path, which needs no entry in the firmware).

grub_modules=(part_gpt part_msdos ext2 fat normal configfile linux search search_fs_uuid gzio echo test all_video serial terminal)
disk_bios=2048    # sectors of 512 bytes: where each part of the disk begins
disk_efi=4096     # 64 MiB
disk_root=135168
sector=512

# grub_config TREE UUID: until the machine itself writes a new one, with its next kernel
grub_config()
{
	local kernel

	kernel=$(basename "$1"/lib/modules/*)
	mkdir -p "$1/boot/grub"
	cat >"$1/boot/grub/grub.cfg" <<-CONFIG
		set timeout=0
		search --no-floppy --fs-uuid --set=root $2
		linux /boot/vmlinuz-$kernel root=UUID=$2 ro console=tty0 console=ttyS0,115200
		initrd /boot/initrd.img-$kernel
		boot
	CONFIG
	printf '%s\n' '# Written with the image.' 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"' GRUB_TIMEOUT=0 \
		>"$1/etc/default/grub.d/90-creel.cfg"
}

# number_put FILE OFFSET BYTES VALUE: little-endian
number_put()
{
	local i text=''

	for ((i = 0; i < $3; i++)); do
		text+=$(printf '\\x%02x' $((($4 >> (8 * i)) & 255)))
	done
	# shellcheck disable=SC2059
	printf "$text" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# grub_image TREE FORMAT OUTPUT EARLY [MODULE...]: with the tree's own GRUB
grub_image()
{
	local tree=$1 format=$2 output=$3 early=$4

	shift 4
	cp "$early" "$tree/run/early.cfg"
	chroot "$tree" grub-mkimage -O "$format" -o /run/grub.img -p /boot/grub -c /run/early.cfg "${grub_modules[@]}" "$@"
	mv "$tree/run/grub.img" "$output"
	rm -f "$tree/run/early.cfg"
}

# disk_make WORK TREE UUID: WORK/disk.raw
disk_make()
{
	local work=$1 tree=$2 uuid=$3 size disk=$1/disk.raw core=$1/core.img boot=$1/boot.img

	printf 'search --no-floppy --fs-uuid --set=root %s\nset prefix=($root)/boot/grub\nconfigfile /boot/grub/grub.cfg\n' "$uuid" \
		>"$work/early.cfg"
	grub_image "$tree" i386-pc "$core" "$work/early.cfg" biosdisk
	grub_image "$tree" x86_64-efi "$work/bootx64.efi" "$work/early.cfg"

	# sizes in MiB: what the tree has and a third more, so that the first boot has room before the disk grows
	size=$(($(du -sm "$tree" | cut -f1) * 4 / 3 + 256))
	mke2fs -q -F -t ext4 -U "$uuid" -L creel -d "$tree" "$work/root.raw" "${size}M" >/dev/null
	truncate -s $(((disk_root + 2048) * sector + (size << 20))) "$disk"
	sfdisk -q "$disk" <<-TABLE
		label: gpt
		start=$disk_bios, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=bios
		start=$disk_efi, size=$((disk_root - disk_efi)), type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=efi
		start=$disk_root, size=$((size * 2048)), type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=root
	TABLE
	dd if="$work/root.raw" of="$disk" bs=1M oflag=seek_bytes seek=$((disk_root * sector)) conv=notrunc,sparse status=none
	rm "$work/root.raw"

	truncate -s $(((disk_root - disk_efi) * sector)) "$work/efi.raw"
	mkfs.vfat -n EFI "$work/efi.raw" >/dev/null
	mmd -i "$work/efi.raw" ::/EFI ::/EFI/BOOT
	mcopy -i "$work/efi.raw" "$work/bootx64.efi" ::/EFI/BOOT/BOOTX64.EFI
	dd if="$work/efi.raw" of="$disk" bs=1M oflag=seek_bytes seek=$((disk_efi * sector)) conv=notrunc,sparse status=none

	# boot.img loads the sector that its byte 0x5c names; that sector (diskboot.img) loads the rest by the list at its end
	cp "$tree/usr/lib/grub/i386-pc/boot.img" "$boot"
	number_put "$boot" $((0x5c)) 8 $disk_bios
	# a drive that the BIOS says is a floppy is none: the jump there becomes two that do nothing
	number_put "$boot" $((0x66)) 2 $((0x9090))
	number_put "$core" $((0x1f4)) 8 $((disk_bios + 1))
	number_put "$core" $((0x1fc)) 2 $((($(stat -c %s "$core") + sector - 1) / sector - 1))
	number_put "$core" $((0x1fe)) 2 $((0x820))
	# the table of the old kind stays (its first byte is at 440)
	dd if="$boot" of="$disk" bs=1 count=440 conv=notrunc status=none
	dd if="$core" of="$disk" bs=512 seek=$disk_bios conv=notrunc status=none
}
