pinfold run --kernel 6.18 - <<'END'
open type=v2
mmap name=A kind=anon size=4M advise=huge
touch va=A size=4M
map iova=0x40000000 va=A size=4M
unmap iova=0x40000000 size=2M
END
