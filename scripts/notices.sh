#!/usr/bin/env bash
# Write dist/third-party.txt: whose code is in what the build has made, and under which terms. The texts are those that came with that code.
# shellcheck source=scripts/env.sh
. "$(dirname "$0")/env.sh"

# part NAME WHERE TERMS FILE...: the first of the files that is there is quoted whole; one has to be there.
part() {
  printf '\n\n%s\n%s\n\nIn %s. %s.\n' "$1" "${1//?/=}" "$2" "$3"
  local file
  for file in "${@:4}"; do
    [ -r "$file" ] || continue
    printf '\n'
    cat "$file"
    return
  done
  [ $# = 3 ] || die "notices: no terms of $1: ${*:4}"
}

# Name and version of the source package that a Debian package was made from.
source_of() {
  # shellcheck disable=SC2016 # the format is dpkg's
  dpkg-query -W -f='${source:Package} ${source:Version}' "$1"
}

docs=/usr/share/doc
{
  cat <<'EOT'
strata itself is under the Apache License 2.0, see LICENSE. The files that are installed also hold code of the projects below. Where that is under the GNU
Lesser General Public License: the library's source is Debian's source package of the name and version that is told (apt-get source NAME=VERSION), and
everything that is needed to link strata with another version of it is in strata's own source.
EOT
  part commander 'dist/bin/strata.cjs and bin/strata' 'MIT' node_modules/commander/LICENSE
  if [ "$(head -c 2 bin/strata)" != '#!' ]; then
    part QuickJS bin/strata 'MIT; bellard.org/quickjs' $docs/libquickjs/copyright build/quickjs$docs/libquickjs/copyright
    # Its start leaves such a note in every program.
    [[ $(readelf -n bin/strata) != *NT_GNU_ABI_TAG* ]] ||
      part 'GNU C Library' bin/strata "$(source_of libc6-dev). LGPL 2.1 or later, and parts under other terms" $docs/libc6-dev/copyright
    part 'libstdc++ and libgcc' bin/strata \
      'GPL 3 with the GCC Runtime Library Exception, which permits what is done here; gcc.gnu.org/onlinedocs/libstdc++/manual/license.html'
  fi
  part libseccomp 'bin/strata and build/Release/strata.node' "$(source_of libseccomp-dev). LGPL 2.1" $docs/libseccomp-dev/copyright
  part zlib 'bin/strata and build/Release/strata.node' 'zlib licence; zlib.net' $docs/zlib1g-dev/copyright
  part libmd 'bin/strata and build/Release/strata.node' 'BSD, of its authors below; libbsd.freedesktop.org/wiki/libmd' $docs/libmd-dev/copyright
  part musl 'bin/strata, and in the program that becomes the container, which bin/strata and build/Release/strata.node carry' 'MIT; musl.libc.org' \
    $docs/musl-dev/copyright
  part 'GNU Lesser General Public License 2.1' 'what is named above' 'Its text' /usr/share/common-licenses/LGPL-2.1
} >dist/third-party.txt
