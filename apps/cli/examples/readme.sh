pinfold bench --size 1G --backing thp,4k --json |
  node -e '
    for (const { op, backing, kernel, counters } of JSON.parse(fs.readFileSync(0)).rows) {
      console.log(op, backing, kernel, counters.vpfnLookups, "vpfn look-ups");
    }'
