pinfold compare --size 1G --backing hugetlb-1g --layout H1 --repeat 1 --no-time \
  --algorithm unpin-rfc-2025,series-1-4 --format markdown
