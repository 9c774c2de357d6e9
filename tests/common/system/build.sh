#!/bin/sh
# Copies the system, with real paths for its placeholders.
: "${out:?}" "${busybox:?}" "${content:?}" "${script?}" "${TMPDIR:?}"
export PATH="$busybox/bin"
cp -a "$content" "$out"
chmod -R u+w "$out"
printf 's|@out@|%s|g\n%s\n' "$out" "$script" >"$TMPDIR/script"
find "$out" -type f | while read -r file; do
    grep -qE '@(out|part:[^@]*)@' "$file" || continue
    sed -i -f "$TMPDIR/script" "$file"
done
find "$out" -type l | while read -r link; do
    target=$(readlink "$link" | sed -f "$TMPDIR/script")
    ln -sfn "$target" "$link"
done
rm "$TMPDIR/script"
