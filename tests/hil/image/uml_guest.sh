#!/bin/busybox sh
# Before systemd in User-Mode Linux: lets the updater's services reach this machine's kind of
# disk, which no board has, and adds the run's own step. Everything else is the image as built.
export PATH=/usr/sbin:/usr/bin:/bin
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
units=/run/systemd/system
mkdir -p "$units/multi-user.target.wants"
for name in bayscribe-confirm bayscribe-install; do
    mkdir -p "$units/$name.service.d"
    printf '[Service]\nDeviceAllow=block-ubd rw\nStandardOutput=journal+console\nStandardError=journal+console\n' > "$units/$name.service.d/uml.conf"
done
cat > "$units/uml-step.service" <<'UNIT'
[Unit]
After=bayscribe.service
[Service]
Type=exec
ExecStart=/bin/sh /var/uml/step.sh
StandardOutput=journal+console
StandardError=journal+console
UNIT
ln -s ../uml-step.service "$units/multi-user.target.wants/uml-step.service"
exec /usr/lib/systemd/systemd
