#!/bin/sh
# Starts the workplace on macOS, also with a double click. Needs Python 3.11 or newer, nothing else.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if command -v "$python" >/dev/null 2>&1 &&
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        exec "$python" "$here/yurt-workplace.pyz" "$@"
    fi
done
echo "Python 3.11 or newer is needed: https://www.python.org/downloads/" >&2
echo "Нужен Python 3.11 или новее: https://www.python.org/downloads/" >&2
echo "Python 3.11 немесе одан жаңасы керек: https://www.python.org/downloads/" >&2
exit 1
