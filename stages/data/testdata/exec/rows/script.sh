set -eu
sed "s/How many/$WORD/" "$1" > "$2"
echo done
