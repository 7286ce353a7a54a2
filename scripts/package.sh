#!/usr/bin/env bash
# Make build/package/strata-VERSION-linux-ARCH.tar.gz: the command, its manual and completions, the addon and the library, for machines without a
# compiler and without npm. docs/INSTALL says what becomes of it. The same build gives the same bytes, whenever and by whomever it is packed.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

case $(uname -m) in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS
name=strata-$(node -p 'JSON.parse(fs.readFileSync("package.json")).version')-linux-$arch
output=$root/build/package
stage=$output/stage
rm -rf "$output"
mkdir -p "$stage/unpacked"

# What belongs to the package is said once, in package.json; npm builds first. Sources are for those who compile.
quietly npm pack --loglevel=error --pack-destination "$stage" || die 'package: npm pack failed'
tar -xzf "$stage"/*.tgz -C "$stage/unpacked"
[ "$(head -c 2 bin/strata)" != '#!' ] || echo 'package: this build has no static command; the packed one needs Node.js'

lib=$stage/$name/lib/strata
doc=$stage/$name/share/doc/strata
mkdir -p "$lib" "$doc"
(cd "$stage/unpacked/package" && cp -r --parents bin/strata dist build/Release/strata.node package.json LICENSE "$lib")
mv "$lib/dist/third-party.txt" "$doc"
cp docs/INSTALL README.md CHANGELOG.md LICENSE "$doc"
cp -r --parents docs/*.md docs/adr examples "$doc"
mkdir -p "$stage/$name/bin"
ln -s ../lib/strata/bin/strata "$stage/$name/bin/strata"
install -D -m 644 docs/man/strata.8 "$stage/$name/share/man/man8/strata.8"
node scripts/completions.mjs "$stage"
install -D -m 644 "$stage/strata.bash" "$stage/$name/share/bash-completion/completions/strata"
install -D -m 644 "$stage/_strata" "$stage/$name/share/zsh/site-functions/_strata"
install -D -m 644 "$stage/strata.fish" "$stage/$name/share/fish/vendor_completions.d/strata.fish"

# Unpacking must not change the owner or mode of directories that are not strata's alone, such as /usr/local/bin: these are left out of the list.
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y package.json)}
cd "$stage"
find "$name" \( ! -type d -o -path "$name/lib/strata*" -o -path "$name/share/doc/strata*" \) | sort |
  tar --create --format=gnu --no-recursion --files-from=- --owner=0 --group=0 --numeric-owner --mode=a=rX,u+w --mtime="@$date" |
  gzip -9n >"$output/$name.tar.gz"
cd "$output"
rm -r "$stage"
sha256sum "$name.tar.gz" >"$name.tar.gz.sha256"
echo "build/package/$name.tar.gz"
