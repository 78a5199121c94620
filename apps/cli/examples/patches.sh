pinfold compare --size 64M --backing thp,4k --layout H2,S4 --repeat 1 --no-time |
  sed -n '/^Change/,/Per page/p'
