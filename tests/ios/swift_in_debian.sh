#!/bin/sh
# make test-swift-debian: the Swift package compiled and tested by the Swift 6 of Debian 13, in a folder of its own, for machines that
# have no Swift. Once: some 700 MB fetched, 3.5 GB on disk, minutes. Needs root, debootstrap and Debian's packages.
#   swift_in_debian.sh PACKAGE FOLDER
set -eu
package=$1 folder=$2
if [ ! -L "$folder/usr/bin/swift" ] && [ ! -x "$folder/usr/bin/swift" ]; then
  command -v debootstrap >/dev/null || { echo 'whit: apt install debootstrap debian-archive-keyring' >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo 'whit: a folder with another Debian is made as root' >&2; exit 1; }
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
  mkdir -p "$folder"
  debootstrap --variant=minbase --include=ca-certificates trixie "$folder" "$mirror"
  DEBIAN_FRONTEND=noninteractive chroot "$folder" apt-get install -q -y --no-install-recommends \
    swiftlang libc6-dev libstdc++-14-dev g++ git
  echo /usr/libexec/swift/lib/swift/linux > "$folder/etc/ld.so.conf.d/swift.conf"
  chroot "$folder" ldconfig
fi
mkdir -p "$folder/root/whit-swift"
find "$folder/root/whit-swift" -mindepth 1 -maxdepth 1 ! -name '.build*' -exec rm -rf {} +
cp -rL "$package/." "$folder/root/whit-swift/"
mount --bind /proc "$folder/proc"
trap 'umount "$folder/proc"' EXIT
inside() { chroot "$folder" sh -c "cd /root/whit-swift && HOME=/root $*"; }
inside swift --version
inside swift test --disable-sandbox -Xswiftc -strict-concurrency=complete -Xswiftc -warnings-as-errors
inside swift test --disable-sandbox --sanitize=thread --scratch-path .build-thread
