import * as bench from '@pinfold/bench';

console.log(Object.keys(bench).length > 0);
