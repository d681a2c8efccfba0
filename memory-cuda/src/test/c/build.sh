#!/bin/sh
# Builds the double: build.sh FOLDER [SYMBOL...] puts libcuda.so.1 and libnvidia-ml.so.1 into FOLDER, without the symbols.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# Objects are kept beside the first libraries made, for those that lack a symbol.
objects=${DOUBLE_OBJECTS:-$folder/objects}
if [ ! -e "$objects/built" ]; then
    mkdir -p "$objects"
    (cd "$objects" && gcc -std=gnu17 -O2 -g -fPIC -Wall -Wextra -Werror -c "$here"/*.c)
    touch "$objects/built"
fi

map=$folder/exports.map
{
    echo "{ global: cu*; nvml*; double_*; local:"
    for symbol in "$@"; do
        echo "  $symbol;"
    done
    echo "  *; };"
} > "$map"
gcc -shared -Wl,-soname,libcuda.so.1 -Wl,--version-script="$map" -o "$folder/libcuda.so.1" "$objects"/*.o -lpthread
# What libnvidia-ml.so.1 exports is found in the library it needs, so that both see the same devices.
echo "" | gcc -shared -Wl,-soname,libnvidia-ml.so.1 -Wl,--no-as-needed \
    -o "$folder/libnvidia-ml.so.1" -x c - -x none "$folder/libcuda.so.1"
