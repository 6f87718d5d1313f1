# What an operator would do, by the release that runs; tells the host on the console.
status() { bayscribe update status --json; }
field() { sed -n "s/.*\"$1\": \"*\([^\",}]*\).*/\1/p"; }
now=$(status)
slot=$(echo "$now" | field running) release=$(echo "$now" | field release)
echo "UP $slot $release"
until [ "$(status | field "slot_$slot")" = good ]; do sleep 2; done
echo "GOOD $slot $release"
mkdir -p /run/bundles /var/lib/bayscribe-update/staged
mount -o ro /dev/ubdb /run/bundles
. /run/bundles/releases
other=$(status | field "slot_$([ "$slot" = a ] && echo b || echo a)")
if [ "$release" = "$base" ]; then next=good
elif [ "$other" = bad ]; then echo "FINISHED $slot $release"; exit
else
    next=unfit
    for name in older foreign; do
        bayscribe update install "/run/bundles/$name.raucb" && echo "TAKEN $name" || echo "REFUSED $name"
    done
fi
ln -sf "/run/bundles/$next.raucb" /var/lib/bayscribe-update/staged/next.raucb
echo "ASKS $next"
systemctl --no-block start bayscribe-install.service
