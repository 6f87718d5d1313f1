#!/bin/busybox sh
# First process of the unit whose power is cut during updates: what systemd would start, less
# everything that an update does not need. Runs from the slot, on the unit's own programs.
export PATH=/usr/sbin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
[ -e /var/run ] || ln -s /run /var/run
mkdir -p /run/dbus /run/bundles /run/rauc /dev/disk/by-partlabel
for entry in /sys/class/block/*/uevent; do
    name= device=
    while IFS='=' read -r key value; do
        case $key in PARTNAME) name=$value ;; DEVNAME) device=$value ;; esac
    done < "$entry"
    [ -z "$name" ] || ln -s "/dev/$device" "/dev/disk/by-partlabel/$name"
done
mount -o ro /dev/ubdb /run/bundles || echo BROKEN bundles
# The unit forgets which releases it has had, so that three bundles serve for all cuts.
echo '{"version":"0.1.0","release":1,"architecture":"amd64"}' > /run/release.json
own=$(python3 -c 'import json; print(json.load(open("/usr/share/bayscribe/release.json"))["release"])')
mount -o bind /run/release.json /usr/share/bayscribe/release.json
mkdir -p /var/lib/bayscribe-update
rm -f /var/lib/bayscribe-update/floor
echo "RUNNING $own"
dbus-daemon --system --fork 2>&1
rauc service > /run/rauc.log 2>&1 &
python3 - <<'PYTHON' || { cat /run/rauc.log; echo BROKEN update; }
import re, shutil, subprocess
from pathlib import Path
from bayscribe.update.confirm import confirm
from bayscribe.update.install import examine, install
from bayscribe.update.jobchecks import Check
from bayscribe.update.machine import Machine

machine = Machine()
outcome, _ = confirm(machine, lambda: [Check("cuts", True, "")])
(machine.state / "floor").unlink(missing_ok=True)
print("CONFIRMED", outcome.value, flush=True)
take = re.search(r"cut.take=(\d+)", Path("/proc/cmdline").read_text())[1]
(bundle,) = Path("/run/bundles").glob(f"*-{take}-*.raucb")
told = examine(bundle)
print("INSTALLING", told.release.release, flush=True)
if "unguarded" in Path("/proc/cmdline").read_text():
    # The control: an updater that puts the slot on trial, and then writes it.
    slot = "b" if machine.slot() == "a" else "a"
    machine.sector().write(machine.sector().read().with_state(slot, "3", first=slot))
    print("UNGUARDED", slot, flush=True)
    subprocess.run(["mount", "-o", "loop,ro", bundle, "/tmp"], check=True)
    print("WRITING", slot, flush=True)
    shutil.copyfile("/tmp/slot.img", machine.device(slot))
else:
    slot = install(told, machine)
print("INSTALLED", slot, flush=True)
PYTHON
while :; do sleep 1; done
