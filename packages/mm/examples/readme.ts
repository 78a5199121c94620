import * as mm from '@pinfold/mm';

console.log(Object.keys(mm).length > 0);
