cd "$(mktemp -d)"
pinfold new-algorithm my-algorithm
pinfold run --kernel 6.18 --file my-algorithm.ts - <<'END'
open type=v2
mmap name=A kind=anon size=4M advise=huge
touch va=A size=4M
map iova=0x40000000 va=A size=4M
unmap iova=0x40000000 size=4M
END

# A mistake: one entry too many is taken out of the batch.
sed 's/batch.take(nr)/batch.take(nr + 1)/' my-algorithm.ts > mistake.ts
printf 'open type=v2\nmmap name=A kind=anon size=8K\nmap iova=0x40000000 va=A size=8K\n' |
  pinfold run --file mistake.ts - 2>&1 || echo "exit code $?"
