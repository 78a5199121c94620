pinfold explain --kernel 6.18 - <<'END'
open type=v2
mmap name=A kind=anon size=4M advise=huge flags=populate
map iova=0x40001000 va=A size=4M
map iova=0x40400000 va=A size=2M
map iova=0xfffffffffffff000 va=A size=8K
END
