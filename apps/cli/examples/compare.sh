pinfold compare --size 64M --backing 4k,thp --layout S4,H2 --repeat 1 --no-time
